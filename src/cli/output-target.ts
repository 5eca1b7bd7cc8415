import { access } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import type { ImageFormat } from "../../gen/comfyrpc/v1/generation_pb.js";
import type { Image } from "../../gen/comfyrpc/v1/image_pb.js";
import { extensionOf, formatOfExtension } from "./image-format.ts";
import { promptSlug } from "./prompt-slug.ts";
import { isMissingFile } from "./system-error.ts";
import { UsageError } from "./usage-error.ts";

/** Where images are saved, as `--out` says. */
export type OutputTarget =
  | { readonly kind: "directory"; readonly directory: string }
  | {
      readonly kind: "file";
      readonly directory: string;
      /** Name of the file without its extension. */
      readonly stem: string;
      /** As the user wrote it, without its dot. */
      readonly extension: string;
      readonly format: ImageFormat;
    };

/** A file name in two parts, so that a number can go between them. */
export interface FileName {
  readonly stem: string;
  /** Without its dot; empty for none. */
  readonly extension: string;
}

/**
 * Reads `--out`: a name that ends in `.png`, `.jpg`, `.jpeg`, `.webp` or `.avif` is a file, any other a directory.
 *
 * @throws UsageError for the extension of a picture that cannot be made
 */
export function parseOutput(out: string): OutputTarget {
  const extension = extname(out).slice(1);
  const format = /[/\\]$/.test(out) ? undefined : formatOfExtension(extension);
  if (format === undefined) {
    if (/^(gif|bmp|tiff?|heic|jxl|svg)$/i.test(extension)) {
      throw new UsageError(`--out: cannot make .${extension}; use .png, .jpg, .webp or .avif`);
    }
    return { kind: "directory", directory: out };
  }
  const stem = basename(out, `.${extension}`);
  return { kind: "file", directory: dirname(out), stem, extension, format };
}

/**
 * The name to save `image` under: that of `--out`, numbered if there are more images, or prompt and seed. Images of
 * workflows may have neither, and are numbered then.
 */
export function fileNameFor(
  target: OutputTarget,
  image: Image,
  prompt: string,
  imageCount: number,
): FileName {
  if (target.kind === "file") return numbered(target, image.index, imageCount);
  const number = prompt === "" && image.seed === 0n ? image.index + 1 : image.seed;
  return { stem: `${promptSlug(prompt)}-${number}`, extension: extensionOf(image.format) };
}

/**
 * Makes sure that no file named by `--out` exists. In a directory names are made so that they are new.
 *
 * @throws UsageError if one does
 */
export async function assertNotTaken(target: OutputTarget, imageCount: number): Promise<void> {
  if (target.kind === "directory") return;
  for (let index = 0; index < imageCount; index++) {
    const { stem, extension } = numbered(target, index, imageCount);
    const path = join(target.directory, `${stem}.${extension}`);
    if (await exists(path)) {
      throw new UsageError(`${path} exists; choose another name with --out, or replace it with --overwrite`);
    }
  }
}

function numbered({ stem, extension }: FileName, index: number, imageCount: number): FileName {
  return { stem: imageCount > 1 || index > 0 ? `${stem}-${index + 1}` : stem, extension };
}

/** The two parts of the last part of a path. */
export function splitName(path: string): FileName {
  const extension = extname(path);
  return { stem: basename(path, extension), extension: extension.slice(1) };
}

/** Whether there is anything at `path`. */
export async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    if (isMissingFile(error)) return false;
    throw error;
  }
}
