import type { Saving } from "../image-saver.ts";
import { type SavingFlags, toSaving } from "../saving-options.ts";
import { UsageError } from "../usage-error.ts";

/**
 * Where to save the images of a batch; `undefined` for nowhere.
 *
 * @throws UsageError for a file, which has room for one image only
 */
export function toDirectory(flags: SavingFlags): Saving | undefined {
  const saving = toSaving(flags);
  if (saving?.target.kind === "file") {
    throw new UsageError(`--out: a batch needs a directory, and ${flags.out} is named like a file`);
  }
  return saving;
}
