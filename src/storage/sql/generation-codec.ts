import { z } from "zod";
import type {
  ParameterValue,
  ResolvedGeneration,
  ResolvedPicture,
  ResolvedStart,
  ResolvedTask,
  ResolvedUpscale,
} from "../../domain/generation.ts";
import type { InputImage } from "../../domain/input-image.ts";
import { bigInteger, imageFormat } from "./json-values.ts";

const inputImage: z.ZodType<InputImage> = z.object({
  assetId: z.string(),
  fileName: z.string(),
  widthPx: z.number(),
  heightPx: z.number(),
  hasTransparency: z.boolean(),
  redRange: z.tuple([z.number(), z.number()]),
});

const resize = z.enum(["crop", "stretch"]);
const inpaintMethod = z.enum(["soft", "hard", "model"]);

const start: z.ZodType<ResolvedStart> = z.discriminatedUnion("type", [
  z.object({ type: z.literal("imageToImage"), image: inputImage, resize }),
  z.object({
    type: z.literal("inpaint"),
    image: inputImage,
    mask: inputImage.exactOptional(),
    invertMask: z.boolean(),
    growPx: z.number(),
    featherPx: z.number(),
    method: inpaintMethod,
    keepUnmasked: z.boolean(),
    resize,
  }),
  z.object({
    type: z.literal("outpaint"),
    image: inputImage,
    leftPx: z.number(),
    topPx: z.number(),
    rightPx: z.number(),
    bottomPx: z.number(),
    featherPx: z.number(),
    method: inpaintMethod,
    keepOriginal: z.boolean(),
  }),
]);

const upscale: z.ZodType<ResolvedUpscale> = z.object({
  model: z.string().exactOptional(),
  widthPx: z.number().exactOptional(),
  heightPx: z.number().exactOptional(),
  resize,
  scaling: z.string(),
});

const parameterValue: z.ZodType<ParameterValue> = z.lazy(() =>
  z.union([
    z.string(),
    z.number(),
    z.boolean(),
    z.null(),
    z.array(parameterValue),
    z.record(z.string(), parameterValue),
  ]),
);

const picture: z.ZodType<ResolvedPicture> = z.object({
  type: z.literal("picture"),
  prompt: z.string(),
  negativePrompt: z.string(),
  model: z.string(),
  widthPx: z.number(),
  heightPx: z.number(),
  steps: z.number(),
  cfg: z.number(),
  denoise: z.number(),
  sampler: z.string(),
  scheduler: z.string(),
  seed: bigInteger,
  imageCount: z.number(),
  loras: z.array(z.object({ name: z.string(), modelStrength: z.number(), clipStrength: z.number() })),
  clipSkip: z.number().exactOptional(),
  vae: z.string().exactOptional(),
  start: start.exactOptional(),
  hires: z
    .object({
      scale: z.number(),
      method: z.enum(["latent", "pixel"]),
      scaling: z.string(),
      upscaleModel: z.string().exactOptional(),
      steps: z.number(),
      denoise: z.number(),
    })
    .exactOptional(),
  upscale: upscale.exactOptional(),
  controlNets: z.array(
    z.object({
      model: z.string(),
      image: inputImage,
      strength: z.number(),
      start: z.number(),
      end: z.number(),
      preprocessor: z.enum(["canny", "invert"]).exactOptional(),
    }),
  ),
  refiner: z
    .object({ model: z.string(), switchAt: z.number(), aestheticScore: z.number().exactOptional() })
    .exactOptional(),
  modelFiles: z
    .object({
      family: z.enum([
        "flux",
        "sd3",
        "qwenImage",
        "zImage",
        "lumina2",
        "chroma",
        "hidream",
        "hunyuanImage",
        "auraFlow",
        "flux2",
      ]),
      diffusionModel: z.string(),
      textEncoders: z.array(z.string()),
      weightType: z.enum(["default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2"]),
      guidance: z.number().exactOptional(),
      shift: z.number().exactOptional(),
    })
    .exactOptional(),
});

const task: z.ZodType<ResolvedTask> = z.union([
  picture,
  z.object({ type: z.literal("upscale"), image: inputImage, upscale }),
  z.object({
    type: z.literal("workflow"),
    json: z.string(),
    images: z.record(z.string(), inputImage),
  }),
  z.object({
    type: z.literal("template"),
    name: z.string(),
    version: z.number(),
    parameters: z.record(z.string(), parameterValue),
  }),
]);

/** {@link ResolvedGeneration} */
export const generationSchema: z.ZodType<ResolvedGeneration> = z.object({
  task,
  preview: z.object({ maxSidePx: z.number(), format: z.enum(["jpeg", "webp"]) }).exactOptional(),
  output: z.object({
    format: imageFormat,
    quality: z.number().exactOptional(),
    inlineLimitBytes: z.number(),
    metadata: z.enum(["keep", "strip", "replace"]).default("keep"),
    aiMark: z.boolean().default(false),
    thumbnail: z.object({ maxSidePx: z.number(), format: z.enum(["jpeg", "webp"]) }).exactOptional(),
  }),
  detach: z.boolean(),
  allowReuse: z.boolean(),
});
