import type {
  GenerationSpec,
  PictureTask,
  ResolvedGeneration,
  ResolvedPicture,
} from "../../src/domain/generation.ts";
import type { ImageSource, InputImage } from "../../src/domain/input-image.ts";

/** What tests say of a generation of a picture: members of the picture and of the generation beside each other. */
type Flat<Generation extends { readonly task: unknown }, Picture> = Partial<
  Omit<Generation, "task"> & Picture
>;

/** A picture that says nothing but its prompt. */
export function buildPictureTask<Image = InputImage>(
  overrides: Partial<PictureTask<Image>> = {},
): PictureTask<Image> {
  return {
    type: "picture",
    prompt: "a red fox",
    negativePrompt: "",
    model: "",
    sampler: "",
    scheduler: "",
    loras: [],
    vae: "",
    controlNets: [],
    ...overrides,
  };
}

/** Asks for one picture. */
export function buildSpec(overrides: Flat<GenerationSpec, PictureTask<ImageSource>> = {}): GenerationSpec {
  const { preview, output = {}, detach = false, allowReuse = false, ...picture } = overrides;
  return { task: buildPictureTask(picture), ...(preview && { preview }), output, detach, allowReuse };
}

/** A picture of which nothing is left open, with a seed that no `number` can hold. */
export function buildPicture(overrides: Partial<ResolvedPicture> = {}): ResolvedPicture {
  return {
    type: "picture",
    prompt: "a red fox",
    negativePrompt: "",
    model: "sd15.safetensors",
    widthPx: 512,
    heightPx: 512,
    steps: 20,
    cfg: 7.5,
    denoise: 1,
    sampler: "euler",
    scheduler: "normal",
    seed: 2n ** 64n - 1n,
    imageCount: 1,
    loras: [],
    controlNets: [],
    ...overrides,
  };
}

/** A generation of such a picture. */
export function buildGeneration(
  overrides: Flat<ResolvedGeneration, ResolvedPicture> = {},
): ResolvedGeneration {
  const {
    preview,
    output = { format: "png", inlineLimitBytes: 0, metadata: "keep", aiMark: false },
    detach = false,
    allowReuse = false,
    ...picture
  } = overrides;
  return { task: buildPicture(picture), ...(preview && { preview }), output, detach, allowReuse };
}

/** An image that a job reads, of 640 x 480 opaque pixels. */
export function buildInputImage(overrides: Partial<InputImage> = {}): InputImage {
  const assetId = overrides.assetId ?? "a".repeat(64);
  return {
    assetId,
    fileName: `comfyrpc/${assetId}.png`,
    widthPx: 640,
    heightPx: 480,
    hasTransparency: false,
    redRange: [0, 255],
    ...overrides,
  };
}
