import type { Asset } from "../../../gen/comfyrpc/v1/asset_pb.js";
import { plainText } from "../plain-text.ts";

/**
 * A name to save `asset` under: that which its uploader, or the workflow that left it, gave it, else the start of its id. Whatever a stranger may have
 * called it, it is a visible file in the directory that it is put into, on any system.
 */
export function assetFileName({
  fileName,
  assetId,
  mediaType,
}: Pick<Asset, "fileName" | "assetId" | "mediaType">): string {
  const name = safeName(fileName);
  return name === "" ? `${safeName(assetId).slice(0, 16) || "asset"}.${extensionFor(mediaType)}` : name;
}

function safeName(name: string): string {
  return plainText(name)
    .replace(/[/\\:*?"<>|]/g, "_")
    .replace(/^[.\s]+|[.\s]+$/g, "")
    .slice(0, 200);
}

function extensionFor(mediaType: string): string {
  return extensions.get(mediaType) ?? "bin";
}

const extensions: ReadonlyMap<string, string> = new Map(
  Object.entries({
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/avif": "avif",
    "image/gif": "gif",
    "text/plain": "txt",
  }),
);
