import { create } from "@bufbuild/protobuf";
import {
  GenerationSpecSchema,
  ImageFormat,
  type GenerationSpec as SpecMessage,
} from "../../../gen/comfyrpc/v1/generation_pb.js";
import type { GenerationSpec, ResolvedGeneration } from "../../domain/generation.ts";
import { defined } from "./defined.ts";
import { domainFormat, messageFormat } from "./format.ts";

/** Reads a spec that has passed the rules of the schema. */
export function fromSpecMessage(spec: SpecMessage): GenerationSpec {
  const { preview, output } = spec;
  return defined({
    prompt: spec.prompt,
    negativePrompt: spec.negativePrompt,
    model: spec.model,
    widthPx: spec.widthPx,
    heightPx: spec.heightPx,
    steps: spec.steps,
    cfg: spec.cfg,
    denoise: spec.denoise,
    sampler: spec.sampler,
    scheduler: spec.scheduler,
    seed: spec.seed,
    imageCount: spec.imageCount,
    loras: spec.loras.map(({ name, modelStrength, clipStrength }) =>
      defined({ name, modelStrength, clipStrength }),
    ),
    clipSkip: spec.clipSkip,
    vae: spec.vae,
    preview: preview && defined({ maxSidePx: preview.maxSidePx, format: previewFormat(preview.format) }),
    output: defined({
      format: output && domainFormat[output.format],
      quality: output?.quality,
      inlineLimitBytes: output?.inlineLimitBytes,
      stripMetadata: output?.stripMetadata ?? false,
    }),
    detach: spec.detach,
    allowReuse: spec.allowReuse,
  });
}

/** Writes a resolved generation as a spec that, sent again, means the same. */
export function toSpecMessage(generation: ResolvedGeneration): SpecMessage {
  const { preview, output, ...rest } = generation;
  return create(GenerationSpecSchema, {
    ...rest,
    loras: generation.loras.map((lora) => ({ ...lora })),
    ...(preview && { preview: { maxSidePx: preview.maxSidePx, format: messageFormat[preview.format] } }),
    output: { ...output, format: messageFormat[output.format] },
  });
}

function previewFormat(format: ImageFormat): "jpeg" | "webp" | undefined {
  return format === ImageFormat.WEBP ? "webp" : format === ImageFormat.JPEG ? "jpeg" : undefined;
}
