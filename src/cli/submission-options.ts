import { type Command, Option } from "commander";
import { z } from "zod";
import { EncodingFlags, encodingOptions, toOutput } from "./encoding-options.ts";
import { JobFlags, jobOptions } from "./job-options.ts";
import { ModeFlags, modeOptions } from "./mode-options.ts";
import { addOptionGroup } from "./option-groups.ts";
import type { OutputTarget } from "./output-target.ts";
import { PictureFlags, pictureOptions, type SpecFields, toPicture } from "./picture-options.ts";
import { offeredPreviewOption, PreviewFlags, previewOptions, toPreview } from "./preview-options.ts";
import { overwriteOption, SavingFlags } from "./saving-options.ts";
import { toModes } from "./to-modes.ts";

/** How a command that submits differs from others. */
export interface SubmissionTexts {
  /** Options that take several values, in place of those of a picture that have the same name. */
  readonly grid?: readonly Option[];
  /** What `--watch` does. */
  readonly watch: string;
  /** `--out`, which implies `--watch`. */
  readonly out: Option;
  /** What `--json` writes. */
  readonly json: string;
}

/** Adds the options of a command that makes jobs without waiting for them, to be read by {@link SubmissionFlags}. */
export function addSubmissionOptions(command: Command, texts: SubmissionTexts): void {
  const grid = texts.grid ?? [];
  const names = new Set(grid.map((option) => option.name()));
  const picture = pictureOptions().filter((option) => !names.has(option.name()));
  addOptionGroup(command, "Picture:", picture);
  addOptionGroup(command, "Several values:", grid);
  addOptionGroup(command, "Modes:", modeOptions());
  addOptionGroup(command, "Previews:", [offeredPreviewOption(), ...previewOptions()]);
  addOptionGroup(command, "Output:", encodingOptions());
  addOptionGroup(command, "Job:", jobOptions());
  addOptionGroup(command, "Run:", [
    new Option("-w, --watch", texts.watch),
    texts.out.implies({ watch: true }),
    overwriteOption(),
    new Option("--json", texts.json),
    new Option("-q, --quiet", "write nothing but ids, file names and errors"),
  ]);
}

/** What {@link addSubmissionOptions} leaves in the options of a command, but for what it puts in place of others. */
export const SubmissionFlags = z.object({
  ...PictureFlags.shape,
  ...ModeFlags.shape,
  ...PreviewFlags.shape,
  ...EncodingFlags.shape,
  ...JobFlags.shape,
  ...SavingFlags.shape,
  watch: z.boolean().default(false),
  json: z.boolean().default(false),
  quiet: z.boolean().default(false),
});

export type SubmissionFlags = z.infer<typeof SubmissionFlags>;

/**
 * The spec for `prompt`; images that are files are read.
 *
 * @param target where the images go, if anywhere
 * @throws UsageError if options contradict each other, or a file cannot be read
 */
export async function toSubmittedSpec(
  prompt: string,
  flags: SubmissionFlags,
  target: OutputTarget | undefined,
): Promise<SpecFields> {
  return {
    ...toPicture(prompt, flags),
    ...(await toModes(flags)),
    preview: toPreview(flags),
    output: toOutput(flags, target),
    allowReuse: flags.reuse,
  };
}
