import type { MessageInitShape } from "@bufbuild/protobuf";
import { Option } from "commander";
import { z } from "zod";
import type { GenerationSpec, GenerationSpecSchema } from "../../gen/comfyrpc/v1/generation_pb.js";
import { repeatable } from "./option-groups.ts";
import { parseLora, parseNumber, parseSeed, parseSize, parseWholeNumber } from "./option-values.ts";

/** The options that say what to draw, to be read by {@link PictureFlags}. */
export function pictureOptions(): Option[] {
  return [
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
    ).argParser(repeatable(parseLora)),
    new Option("--clip-skip <n>", "layer of CLIP to stop at, from the end, 1 to 24").argParser(
      parseWholeNumber,
    ),
    new Option("--vae <name>", "VAE in place of the checkpoint's own"),
  ];
}

/** What {@link pictureOptions} leave in the options of a command. */
export const PictureFlags = z.object({
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
});

export type PictureFlags = z.infer<typeof PictureFlags>;

/** Fields of a spec. */
export type SpecFields = Exclude<MessageInitShape<typeof GenerationSpecSchema>, GenerationSpec>;

/** The part of a spec that says what to draw. What was not given is left to the service. */
export function toPicture(prompt: string, flags: PictureFlags): SpecFields {
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
  };
}
