import { readFile } from "node:fs/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ImageInputSchema } from "../../gen/comfyrpc/v1/image_input_pb.js";
import { isSystemError } from "./system-error.ts";
import { UsageError } from "./usage-error.ts";

/** An image for a request. */
export type ImageInit = MessageInitShape<typeof ImageInputSchema>;

/** How options say where an image is, for their help. */
export const imageArgumentHelp = "a file, an asset id, or an https address";

/**
 * Reads where an image is: `https://…` (or `http://…`) is an address for the service to fetch it from, 64 hexadecimal
 * digits are the id of an asset, and anything else is a file, whose bytes go with the request.
 *
 * @throws UsageError if the file cannot be read
 */
export async function readImageArgument(text: string): Promise<ImageInit> {
  if (/^https?:\/\//i.test(text)) return { source: { case: "url", value: text } };
  if (/^[0-9a-f]{64}$/i.test(text)) return { source: { case: "assetId", value: text.toLowerCase() } };
  try {
    return { source: { case: "data", value: await readFile(text) } };
  } catch (error) {
    if (isSystemError(error)) throw new UsageError(`cannot read ${text}: ${error.message}`);
    throw error;
  }
}
