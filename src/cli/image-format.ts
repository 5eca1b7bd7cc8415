import { ImageFormat } from "../../gen/comfyrpc/v1/generation_pb.js";

/** Names of the formats on the command line. */
export const formatNames = ["png", "jpeg", "webp", "avif"] as const;

export type FormatName = (typeof formatNames)[number];

/** The format that `--format` means by `name`. */
export function formatOfName(name: FormatName): ImageFormat {
  return formats[name];
}

/** The format that the end of a file name stands for, given without its dot and in any case. */
export function formatOfExtension(extension: string): ImageFormat | undefined {
  const lower = extension.toLowerCase();
  const name = formatNames.find((candidate) => candidate === (lower === "jpg" ? "jpeg" : lower));
  return name && formats[name];
}

/** How names of files in `format` end, without a dot. */
export function extensionOf(format: ImageFormat): string {
  return extensions[format];
}

const formats: Record<FormatName, ImageFormat> = {
  png: ImageFormat.PNG,
  jpeg: ImageFormat.JPEG,
  webp: ImageFormat.WEBP,
  avif: ImageFormat.AVIF,
};

const extensions: Record<ImageFormat, string> = {
  [ImageFormat.UNSPECIFIED]: "bin",
  [ImageFormat.PNG]: "png",
  [ImageFormat.JPEG]: "jpg",
  [ImageFormat.WEBP]: "webp",
  [ImageFormat.AVIF]: "avif",
};
