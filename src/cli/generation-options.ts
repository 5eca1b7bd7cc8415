import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { type Command, Option } from "commander";
import { z } from "zod";
import { type GenerationSpec, GenerationSpecSchema } from "../../gen/comfyrpc/v1/generation_pb.js";
import { EncodingFlags, encodingOptions, toOutput } from "./encoding-options.ts";
import { ModeFlags, modeOptions } from "./mode-options.ts";
import { addOptionGroup } from "./option-groups.ts";
import { parseByteCount, parseSeconds } from "./option-values.ts";
import { type OutputTarget, parseOutput } from "./output-target.ts";
import { PictureFlags, pictureOptions, type SpecFields, toPicture } from "./picture-options.ts";
import {
  PreviewFlags,
  previewOptions,
  savedPreviewOption,
  toPreview,
  wantsPreview,
} from "./preview-options.ts";
import type { GenerateOptions } from "./run-generate.ts";
import { toModes } from "./to-modes.ts";

/** What a command line asks for: the spec for the service, and what the client does with it. */
export interface Generation {
  readonly spec: GenerationSpec;
  readonly options: Omit<GenerateOptions, "serverName">;
}

/** Adds every option of a picture that is drawn; {@link readGeneration} reads them. */
export function addGenerationOptions(command: Command): Command {
  addOptionGroup(command, "Picture:", pictureOptions());
  addOptionGroup(command, "Modes:", modeOptions());
  return addCallOptions(command);
}

/** Adds the options of a call that draws, whatever it draws; {@link readCall} reads them. */
export function addCallOptions(command: Command): Command {
  addOptionGroup(command, "Previews:", [savedPreviewOption(), ...previewOptions()]);
  addOptionGroup(command, "Output:", outputOptions());
  addOptionGroup(command, "Run:", displayOptions());
  return command;
}

/**
 * Makes a generation of `prompt` and the options of `command`; images that are files are read.
 *
 * @throws UsageError if options contradict each other, or a file cannot be read
 */
export async function readGeneration(prompt: string, command: Command): Promise<Generation> {
  const flags = DrawingFlags.parse(command.opts());
  return readCall({ ...toPicture(prompt, flags), ...(await toModes(flags)) }, command);
}

/**
 * Makes a generation of `task`, the fields of a spec that say what to do, and the options of `command`.
 *
 * @throws UsageError if options contradict each other
 */
export function readCall(task: SpecFields, command: Command): Generation {
  const flags = CallFlags.parse(command.opts());
  const target = parseOutput(flags.out);
  return {
    spec: create(GenerationSpecSchema, {
      ...task,
      preview: toPreview(flags),
      output: toOutput(flags, target),
    }),
    options: {
      target,
      overwrite: flags.overwrite === true,
      json: flags.json === true,
      quiet: flags.quiet === true,
      ...(flags.timeout === undefined ? {} : { timeoutMs: flags.timeout }),
      ...toPreviewDirectory(flags, target),
    },
  };
}

function outputOptions(): Option[] {
  return [
    new Option("-o, --out <path>", "directory, or a file if it ends in .png, .jpg, .webp or .avif").default(
      "./comfyrpc-out",
    ),
    new Option("--overwrite", "replace files that exist, in place of making new names"),
    ...encodingOptions(),
    new Option(
      "--inline-limit <bytes>",
      "larger images come in chunks, such as 512KiB (default: 3.5 MiB)",
    ).argParser(parseByteCount),
  ];
}

function displayOptions(): Option[] {
  return [
    new Option("--timeout <seconds>", "give up after this time, and stop the work").argParser(parseSeconds),
    new Option("--json", "write events, then files and result, as JSON lines"),
    new Option("-q, --quiet", "write nothing but file names and errors"),
  ];
}

const DrawingFlags = z.object({ ...PictureFlags.shape, ...ModeFlags.shape });

const CallFlags = z.object({
  ...PreviewFlags.shape,
  ...EncodingFlags.shape,
  out: z.string(),
  overwrite: z.boolean().optional(),
  timeout: z.number().optional(),
  json: z.boolean().optional(),
  quiet: z.boolean().optional(),
});

type CallFlags = z.infer<typeof CallFlags>;

function toPreviewDirectory(flags: CallFlags, target: OutputTarget): { previewDirectory?: string } {
  if (!wantsPreview(flags)) return {};
  const isNamed = typeof flags.preview === "string";
  return { previewDirectory: isNamed ? `${flags.preview}` : join(target.directory, "previews") };
}
