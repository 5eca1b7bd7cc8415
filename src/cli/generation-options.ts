import { join } from "node:path";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Command, Option } from "commander";
import { z } from "zod";
import {
  type GenerationSpec,
  GenerationSpecSchema,
  type ImageFormat,
  type OutputOptionsSchema,
  type PreviewOptionsSchema,
} from "../../gen/comfyrpc/v1/generation_pb.js";
import { formatNames, formatOfName } from "./image-format.ts";
import {
  type LoraFlag,
  parseByteCount,
  parseLora,
  parseNumber,
  parseSeconds,
  parseSeed,
  parseSize,
  parseWholeNumber,
} from "./option-values.ts";
import { type OutputTarget, parseOutput } from "./output-target.ts";
import type { GenerateOptions } from "./run-generate.ts";
import { UsageError } from "./usage-error.ts";

/** What a command line asks for: the spec for the service, and what the client does with it. */
export interface Generation {
  readonly spec: GenerationSpec;
  readonly options: Omit<GenerateOptions, "serverName">;
}

/** Adds every option of a generation to `command`; {@link readGeneration} reads them. */
export function addGenerationOptions(command: Command): Command {
  for (const option of [...drawingOptions(), ...previewOptions(), ...outputOptions(), ...displayOptions()]) {
    command.addOption(option);
  }
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
    spec: create(GenerationSpecSchema, toSpec(prompt, flags, target)),
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

function drawingOptions(): Option[] {
  return grouped("Picture:", [
    new Option("-n, --negative <text>", "what the picture should not show"),
    new Option("-m, --model <name>", "checkpoint, as the backend lists it"),
    new Option("--width <px>", "64 to 2048, a multiple of 8").argParser(parseWholeNumber),
    new Option("--height <px>", "64 to 2048, a multiple of 8").argParser(parseWholeNumber),
    new Option("--size <WxH>", "both at once, such as 768x512")
      .argParser(parseSize)
      .conflicts(["width", "height"]),
    new Option("--steps <n>", "sampling steps, 1 to 150 (default: 20)").argParser(parseWholeNumber),
    new Option("--cfg <n>", "how closely to follow the prompt, 1 to 30 (default: 7)").argParser(parseNumber),
    new Option("--denoise <n>", "share of noise to remove, 0 to 1 (default: 1)").argParser(parseNumber),
    new Option("--sampler <name>", "such as euler or dpmpp_2m (default: euler)"),
    new Option("--scheduler <name>", "such as normal or karras (default: normal)"),
    new Option("-s, --seed <n>", "0 to 2^64-1 (default: random)").argParser(parseSeed),
    new Option("-c, --count <n>", "images, 1 to 10, each with the next seed (default: 1)").argParser(
      parseWholeNumber,
    ),
    new Option(
      "--lora <name[:model[:clip]]>",
      "LoRA and its strengths (default: 1); may be given again",
    ).argParser((text: string, before: LoraFlag[] | undefined) => [...(before ?? []), parseLora(text)]),
    new Option("--clip-skip <n>", "layer of CLIP to stop at, from the end, 1 to 24").argParser(
      parseWholeNumber,
    ),
    new Option("--vae <name>", "VAE in place of the checkpoint's own"),
  ]);
}

function previewOptions(): Option[] {
  return grouped("Previews:", [
    new Option(
      "--preview [dir]",
      "save pictures of the unfinished work, in previews/ beside the images unless given; put it after the prompt",
    ),
    new Option("--preview-size <px>", "longest side, 16 to 1024 (default: 512)").argParser(parseWholeNumber),
    new Option("--preview-format <format>", "jpeg unless given").choices(["jpeg", "webp"]),
  ]);
}

function outputOptions(): Option[] {
  return grouped("Output:", [
    new Option("-o, --out <path>", "directory, or a file if it ends in .png, .jpg, .webp or .avif").default(
      "./comfyrpc-out",
    ),
    new Option("--overwrite", "replace files that exist, in place of making new names"),
    new Option("-f, --format <format>", "png unless given, or what --out says").choices(formatNames),
    new Option("--quality <n>", "of jpeg, webp and avif, 1 to 100").argParser(parseWholeNumber),
    new Option(
      "--inline-limit <bytes>",
      "larger images come in chunks, such as 512KiB (default: 3.5 MiB)",
    ).argParser(parseByteCount),
  ]);
}

function displayOptions(): Option[] {
  return grouped("Run:", [
    new Option("--timeout <seconds>", "give up after this time, and stop the work").argParser(parseSeconds),
    new Option("--json", "write events, then files and result, as JSON lines"),
    new Option("-q, --quiet", "write nothing but file names and errors"),
  ]);
}

function grouped(heading: string, options: Option[]): Option[] {
  return options.map((option) => option.helpGroup(heading));
}

const GenerationFlags = z.object({
  negative: z.string().optional(),
  model: z.string().optional(),
  width: z.number().optional(),
  height: z.number().optional(),
  size: z.object({ widthPx: z.number(), heightPx: z.number() }).optional(),
  steps: z.number().optional(),
  cfg: z.number().optional(),
  denoise: z.number().optional(),
  sampler: z.string().optional(),
  scheduler: z.string().optional(),
  seed: z.bigint().optional(),
  count: z.number().optional(),
  lora: z
    .array(
      z.object({
        name: z.string(),
        modelStrength: z.number().optional(),
        clipStrength: z.number().optional(),
      }),
    )
    .optional(),
  clipSkip: z.number().optional(),
  vae: z.string().optional(),
  preview: z.union([z.string(), z.literal(true)]).optional(),
  previewSize: z.number().optional(),
  previewFormat: z.enum(["jpeg", "webp"]).optional(),
  out: z.string(),
  overwrite: z.boolean().optional(),
  format: z.enum(formatNames).optional(),
  quality: z.number().optional(),
  inlineLimit: z.number().optional(),
  timeout: z.number().optional(),
  json: z.boolean().optional(),
  quiet: z.boolean().optional(),
});

type GenerationFlags = z.infer<typeof GenerationFlags>;

function toSpec(
  prompt: string,
  flags: GenerationFlags,
  target: OutputTarget,
): MessageInitShape<typeof GenerationSpecSchema> {
  return {
    prompt,
    negativePrompt: flags.negative ?? "",
    model: flags.model ?? "",
    widthPx: flags.width ?? flags.size?.widthPx,
    heightPx: flags.height ?? flags.size?.heightPx,
    steps: flags.steps,
    cfg: flags.cfg,
    denoise: flags.denoise,
    sampler: flags.sampler ?? "",
    scheduler: flags.scheduler ?? "",
    seed: flags.seed,
    imageCount: flags.count,
    loras: flags.lora ?? [],
    clipSkip: flags.clipSkip,
    vae: flags.vae ?? "",
    preview: toPreview(flags),
    output: toOutput(flags, target),
  };
}

function wantsPreview({ preview, previewSize, previewFormat }: GenerationFlags): boolean {
  return preview !== undefined || previewSize !== undefined || previewFormat !== undefined;
}

function toPreview(flags: GenerationFlags): MessageInitShape<typeof PreviewOptionsSchema> | undefined {
  if (!wantsPreview(flags)) return undefined;
  const { previewSize: maxSidePx, previewFormat } = flags;
  return { maxSidePx, ...(previewFormat ? { format: formatOfName(previewFormat) } : {}) };
}

function toPreviewDirectory(flags: GenerationFlags, target: OutputTarget): { previewDirectory?: string } {
  if (!wantsPreview(flags)) return {};
  const isNamed = typeof flags.preview === "string";
  return { previewDirectory: isNamed ? `${flags.preview}` : join(target.directory, "previews") };
}

function toOutput(
  flags: GenerationFlags,
  target: OutputTarget,
): MessageInitShape<typeof OutputOptionsSchema> | undefined {
  const { quality, inlineLimit: inlineLimitBytes } = flags;
  const format = toFormat(flags, target);
  if (format === undefined && quality === undefined && inlineLimitBytes === undefined) return undefined;
  return { quality, inlineLimitBytes, ...(format === undefined ? {} : { format }) };
}

/** A file name says its format as well as `--format` does, so they must not differ. */
function toFormat({ format, out }: GenerationFlags, target: OutputTarget): ImageFormat | undefined {
  const named = format && formatOfName(format);
  if (target.kind === "directory") return named;
  if (named !== undefined && named !== target.format) {
    throw new UsageError(`--format ${format} contradicts --out ${out}`);
  }
  return target.format;
}
