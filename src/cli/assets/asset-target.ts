import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { Asset } from "../../../gen/comfyrpc/v1/asset_pb.js";
import { exists, type FileName, splitName } from "../output-target.ts";
import { isMissingFile } from "../system-error.ts";
import { UsageError } from "../usage-error.ts";
import { assetFileName } from "./asset-file-name.ts";

/** Where an asset goes: a directory that is there, or a file. */
export interface AssetTarget {
  readonly directory: string;
  /** Of the file; absent where the asset says it. */
  readonly name?: FileName;
}

/**
 * Reads `--out`: a directory if there is one of that name or it ends in a slash, a file else.
 *
 * @throws UsageError if there is such a file, and it is not to be replaced
 */
export async function openAssetTarget(out: string, overwrite: boolean): Promise<AssetTarget> {
  if (/[/\\]$/.test(out) || (await isDirectory(out))) return { directory: out };
  if (!overwrite && (await exists(out))) {
    throw new UsageError(`${out} exists; choose another name with --out, or replace it with --overwrite`);
  }
  return { directory: dirname(out), name: splitName(out) };
}

/** The name to save `asset` under. */
export function nameIn({ name }: AssetTarget, asset: Asset): FileName {
  return name ?? splitName(assetFileName(asset));
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (isMissingFile(error)) return false;
    throw error;
  }
}
