import { ImageFormat } from "../../../gen/comfyrpc/v1/generation_pb.js";
import type { ImageFormat as DomainFormat } from "../../domain/image.ts";

/** How the API calls each format. */
export const messageFormat: Readonly<Record<DomainFormat, ImageFormat>> = {
  png: ImageFormat.PNG,
  jpeg: ImageFormat.JPEG,
  webp: ImageFormat.WEBP,
  avif: ImageFormat.AVIF,
};

/** What the API calls each format; `undefined` where it says nothing. */
export const domainFormat: Readonly<Record<ImageFormat, DomainFormat | undefined>> = {
  [ImageFormat.UNSPECIFIED]: undefined,
  [ImageFormat.PNG]: "png",
  [ImageFormat.JPEG]: "jpeg",
  [ImageFormat.WEBP]: "webp",
  [ImageFormat.AVIF]: "avif",
};
