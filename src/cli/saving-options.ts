import { Option } from "commander";
import { z } from "zod";
import { GivenNames } from "./given-names.ts";
import type { Saving } from "./image-saver.ts";
import { parseOutput } from "./output-target.ts";

/** `--out` for the images of a job. */
export function outOption(): Option {
  return new Option("-o, --out <path>", "save the images: directory, or file if it ends in .png, .jpg, …");
}

/** `--out` for the images of several jobs. */
export function outDirectoryOption(): Option {
  return new Option("-o, --out <dir>", "save the images in this directory");
}

/** `--overwrite`, to go with either. */
export function overwriteOption(): Option {
  return new Option("--overwrite", "replace files that exist, in place of making new names");
}

/** What these leave in the options of a command. */
export const SavingFlags = z.object({
  out: z.string().optional(),
  overwrite: z.boolean().default(false),
});

export type SavingFlags = z.infer<typeof SavingFlags>;

/**
 * Where to save; `undefined` for nowhere.
 *
 * @throws UsageError for the extension of a picture that cannot be made
 */
export function toSaving({ out, overwrite }: SavingFlags): Saving | undefined {
  return out === undefined ? undefined : { target: parseOutput(out), overwrite, names: new GivenNames() };
}
