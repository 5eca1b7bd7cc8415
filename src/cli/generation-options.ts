import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { type Command, Option } from "commander";
import { z } from "zod";
import { type GenerationSpec, GenerationSpecSchema } from "../../gen/comfyrpc/v1/generation_pb.js";
import { EncodingFlags, encodingOptions, toOutput } from "./encoding-options.ts";
import { addOptionGroup } from "./option-groups.ts";
import { parseByteCount, parseSeconds } from "./option-values.ts";
import { type OutputTarget, parseOutput } from "./output-target.ts";
import { PictureFlags, pictureOptions, toPicture } from "./picture-options.ts";
import {
  PreviewFlags,
  previewOptions,
  savedPreviewOption,
  toPreview,
  wantsPreview,
} from "./preview-options.ts";
import type { GenerateOptions } from "./run-generate.ts";

/** What a command line asks for: the spec for the service, and what the client does with it. */
export interface Generation {
  readonly spec: GenerationSpec;
  readonly options: Omit<GenerateOptions, "serverName">;
}

/** Adds every option of a generation to `command`; {@link readGeneration} reads them. */
export function addGenerationOptions(command: Command): Command {
  addOptionGroup(command, "Picture:", pictureOptions());
  addOptionGroup(command, "Previews:", [savedPreviewOption(), ...previewOptions()]);
  addOptionGroup(command, "Output:", outputOptions());
  addOptionGroup(command, "Run:", displayOptions());
  return command;
}

/**
 * Makes a generation of `prompt` and the options of `command`.
 *
 * @throws UsageError if options contradict each other
 */
export function readGeneration(prompt: string, command: Command): Generation {
  const flags = GenerationFlags.parse(command.opts());
  const target = parseOutput(flags.out);
  return {
    spec: create(GenerationSpecSchema, {
      ...toPicture(prompt, flags),
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

const GenerationFlags = z.object({
  ...PictureFlags.shape,
  ...PreviewFlags.shape,
  ...EncodingFlags.shape,
  out: z.string(),
  overwrite: z.boolean().optional(),
  timeout: z.number().optional(),
  json: z.boolean().optional(),
  quiet: z.boolean().optional(),
});

type GenerationFlags = z.infer<typeof GenerationFlags>;

function toPreviewDirectory(flags: GenerationFlags, target: OutputTarget): { previewDirectory?: string } {
  if (!wantsPreview(flags)) return {};
  const isNamed = typeof flags.preview === "string";
  return { previewDirectory: isNamed ? `${flags.preview}` : join(target.directory, "previews") };
}
