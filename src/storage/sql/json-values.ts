import { z } from "zod";

/** An integer of any size. Small ones come as numbers: JSON does not tell them apart. */
export const bigInteger = z.union([z.int(), z.bigint()]).transform((value) => BigInt(value));

export const imageFormat = z.enum(["png", "jpeg", "webp", "avif"]);
