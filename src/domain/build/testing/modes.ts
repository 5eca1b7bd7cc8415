import { buildInputImage } from "../../../../test/support/generations.ts";
import type {
  ModelFamily,
  ResolvedInpaint,
  ResolvedModelFiles,
  ResolvedPicture,
  ResolvedUpscale,
} from "../../generation.ts";
import { modelFamilies } from "../../resolve/model-families.ts";

const image = buildInputImage({ widthPx: 512, heightPx: 512, hasTransparency: true });
const mask = buildInputImage({ assetId: "b".repeat(64), widthPx: 512, heightPx: 512 });
const hint = buildInputImage({ assetId: "c".repeat(64), widthPx: 640, heightPx: 480 });

const inpaint: ResolvedInpaint = {
  type: "inpaint",
  image,
  invertMask: false,
  growPx: 0,
  featherPx: 0,
  method: "soft",
  keepUnmasked: true,
  resize: "crop",
};

const outpaint = {
  type: "outpaint",
  image: hint,
  leftPx: 10,
  topPx: 0,
  rightPx: 0,
  bottomPx: 64,
  featherPx: 40,
  method: "hard",
  keepOriginal: true,
} as const;

const hires = { scale: 1.5, method: "pixel", scaling: "lanczos", steps: 10, denoise: 0.4 } as const;
const net = { model: "canny.safetensors", image: hint, strength: 0.8, start: 0, end: 0.6 };
const loras = [
  { name: "a.safetensors", modelStrength: 1, clipStrength: 0.5 },
  { name: "b.safetensors", modelStrength: -1, clipStrength: -1 },
];

/** What a picture can be, each feature by itself and some together: name to what sets it apart from text to image. */
export const pictureModes: Readonly<Record<string, Partial<ResolvedPicture>>> = {
  "text to image": {},
  "several images": { imageCount: 2 },
  "LoRAs, clip skip and VAE": { loras, clipSkip: 2, vae: "vae.safetensors" },
  "image to image": { start: { type: "imageToImage", image, resize: "crop" }, denoise: 0.6 },
  "image to image of another size": {
    start: { type: "imageToImage", image: hint, resize: "stretch" },
    denoise: 0.6,
  },
  "soft inpaint of what is transparent": { start: inpaint, denoise: 0.8 },
  "hard inpaint by a mask that is inverted, grown and feathered": {
    start: { ...inpaint, mask, invertMask: true, growPx: 6, featherPx: 8, method: "hard" },
  },
  "inpaint of another size by an inpaint model": {
    start: { ...inpaint, image: hint, mask: { ...mask, widthPx: 640, heightPx: 480 }, method: "model" },
  },
  "inpaint that keeps nothing": { start: { ...inpaint, mask, keepUnmasked: false } },
  outpaint: { start: outpaint, widthPx: 656, heightPx: 544 },
  "soft outpaint that keeps nothing": {
    start: { ...outpaint, method: "soft", keepOriginal: false },
    widthPx: 656,
    heightPx: 544,
  },
  "hires, pixels": { hires },
  "hires, pixels by a model": { hires: { ...hires, upscaleModel: "4x.pth" } },
  "hires, latent": { hires: { ...hires, method: "latent", scaling: "bislerp", denoise: 0.5 } },
  "enlarged by a model": { upscale: { model: "4x.pth", resize: "crop", scaling: "lanczos" } },
  "several images enlarged by a model to a size": {
    imageCount: 2,
    upscale: { model: "4x.pth", widthPx: 1_000, heightPx: 900, resize: "crop", scaling: "bicubic" },
  },
  ControlNet: { controlNets: [net] },
  "two ControlNets with preprocessors": {
    controlNets: [
      { ...net, preprocessor: "canny" },
      { ...net, model: "scribble.safetensors", strength: 1.5, start: 0.5, end: 1, preprocessor: "invert" },
    ],
  },
  refiner: { refiner: { model: "refiner.safetensors", switchAt: 0.8 }, steps: 25 },
  "refiner that is told of beauty, over an image": {
    refiner: { model: "refiner.safetensors", switchAt: 0.5, aestheticScore: 6 },
    start: { type: "imageToImage", image, resize: "crop" },
    denoise: 0.5,
  },
  "everything that goes together": {
    imageCount: 2,
    loras,
    clipSkip: 1,
    vae: "vae.safetensors",
    controlNets: [net],
    refiner: { model: "refiner.safetensors", switchAt: 0.8 },
    start: { type: "imageToImage", image: hint, resize: "crop" },
    denoise: 0.7,
    hires: { ...hires, upscaleModel: "4x.pth" },
    upscale: { model: "4x.pth", widthPx: 1_024, heightPx: 1_024, resize: "crop", scaling: "lanczos" },
  },
  ...Object.fromEntries(
    (Object.keys(modelFamilies) as ModelFamily[]).map((family) => [
      `model files, ${family}`,
      ofFamily(family),
    ]),
  ),
  "inpaint with Flux and a LoRA": {
    ...ofFamily("flux"),
    loras: loras.slice(0, 1),
    negativePrompt: "blurry",
    start: { ...inpaint, mask },
  },
};

/** How an image can be enlarged without drawing. */
export const upscaleModes: Readonly<Record<string, ResolvedUpscale>> = {
  "an image enlarged by a model": { model: "4x.pth", resize: "crop", scaling: "lanczos" },
  "an image enlarged to a size": { widthPx: 1_280, heightPx: 960, resize: "stretch", scaling: "area" },
};

function ofFamily(family: ModelFamily): Partial<ResolvedPicture> {
  const { encoders, shift, guidance, cfg, steps, scheduler, nativeSidePx } = modelFamilies[family];
  const modelFiles: ResolvedModelFiles = {
    family,
    diffusionModel: `${family}.safetensors`,
    textEncoders: encoders.map((_, i) => `encoder-${i + 1}.safetensors`),
    weightType: "default",
    ...(guidance !== undefined && { guidance }),
    ...(shift && { shift: shift.default }),
  };
  const size = { widthPx: nativeSidePx, heightPx: nativeSidePx };
  return { model: "", vae: "vae.safetensors", modelFiles, cfg, steps, scheduler, ...size };
}
