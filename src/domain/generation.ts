import type { ImageFormat } from "./image.ts";
import type { ImageSource, InputImage } from "./input-image.ts";

/**
 * What a caller asks for, after the schema's own rules have been checked. What is left out is filled in when it is
 * resolved; ranges and defaults are those of `GenerationSpec` in the public API.
 */
export interface GenerationSpec {
  readonly task: Task<ImageSource>;
  readonly preview?: PreviewSpec;
  readonly output: OutputSpec;
  /** Whether the job goes on when the call that waits for it has gone. */
  readonly detach: boolean;
  /** Whether the images of an earlier job that did the same work may be the answer. */
  readonly allowReuse: boolean;
}

/** What is to be done, with images of whatever kind `Image` is: as the caller gave them, or looked at. */
export type Task<Image> = PictureTask<Image> | UpscaleTask<Image> | WorkflowTask<Image> | TemplateTask;

/** A picture to draw. Empty names stand for the default. */
export interface PictureTask<Image> {
  readonly type: "picture";
  readonly prompt: string;
  readonly negativePrompt: string;
  readonly model: string;
  readonly widthPx?: number;
  readonly heightPx?: number;
  readonly steps?: number;
  readonly cfg?: number;
  readonly denoise?: number;
  readonly sampler: string;
  readonly scheduler: string;
  readonly seed?: bigint;
  readonly imageCount?: number;
  readonly loras: readonly LoraSpec[];
  readonly clipSkip?: number;
  readonly vae: string;
  readonly start?: StartSpec<Image>;
  readonly hires?: HiresSpec;
  readonly upscale?: UpscaleSpec;
  readonly controlNets: readonly ControlNetSpec<Image>[];
  readonly refiner?: RefinerSpec;
  readonly modelFiles?: ModelFilesSpec;
}

/** An image to enlarge, without drawing. */
export interface UpscaleTask<Image> {
  readonly type: "upscale";
  readonly image: Image;
  readonly upscale: UpscaleSpec;
}

/** A workflow of the caller's own. */
export interface WorkflowTask<Image> {
  readonly type: "workflow";
  /** In API format, or as the editor of ComfyUI saves it. */
  readonly json: string;
  /** Images for its inputs, by node id and input name: `10.image`. */
  readonly images: Readonly<Record<string, Image>>;
}

/** A template to run. Images among its parameters are known only when the template is. */
export interface TemplateTask {
  readonly type: "template";
  readonly name: string;
  /** Absent: the newest. */
  readonly revision?: { readonly version: number } | { readonly alias: string };
  /** As JSON has them. */
  readonly parameters: Readonly<Record<string, ParameterValue>>;
}

export type ParameterValue =
  | string
  | number
  | boolean
  | null
  | readonly ParameterValue[]
  | { readonly [name: string]: ParameterValue };

export interface LoraSpec {
  readonly name: string;
  readonly modelStrength?: number;
  readonly clipStrength?: number;
}

/** How an image is brought to another size: see `Resize` of the public API. */
export type Resize = "crop" | "stretch";

/** How the masked part of an image is drawn: see `InpaintMethod` of the public API. */
export type InpaintMethod = "soft" | "hard" | "model";

/** What a picture starts from, if not from nothing. */
export type StartSpec<Image> =
  | { readonly type: "imageToImage"; readonly image: Image; readonly resize?: Resize }
  | {
      readonly type: "inpaint";
      readonly image: Image;
      /** Absent: what is transparent in the image. */
      readonly mask?: Image;
      readonly invertMask: boolean;
      readonly growPx?: number;
      readonly featherPx?: number;
      readonly method?: InpaintMethod;
      readonly keepUnmasked?: boolean;
      readonly resize?: Resize;
    }
  | {
      readonly type: "outpaint";
      readonly image: Image;
      readonly leftPx: number;
      readonly topPx: number;
      readonly rightPx: number;
      readonly bottomPx: number;
      readonly featherPx?: number;
      readonly method?: InpaintMethod;
      readonly keepOriginal?: boolean;
    };

export interface HiresSpec {
  readonly scale?: number;
  readonly method?: "latent" | "pixel";
  /** Empty: the default. */
  readonly scaling: string;
  /** Empty: none. */
  readonly upscaleModel: string;
  readonly steps?: number;
  readonly denoise?: number;
}

export interface UpscaleSpec {
  /** Empty: none. */
  readonly model: string;
  readonly factor?: number;
  readonly widthPx?: number;
  readonly heightPx?: number;
  readonly resize?: Resize;
  /** Empty: the default. */
  readonly scaling: string;
}

export interface ControlNetSpec<Image> {
  readonly model: string;
  readonly image: Image;
  readonly strength?: number;
  readonly start?: number;
  readonly end?: number;
  readonly preprocessor?: "canny" | "invert";
}

export interface RefinerSpec {
  readonly model: string;
  readonly switchAt?: number;
  readonly aestheticScore?: number;
}

/** A kind of diffusion model: see `ModelFamily` of the public API. */
export type ModelFamily =
  | "flux"
  | "sd3"
  | "qwenImage"
  | "zImage"
  | "lumina2"
  | "chroma"
  | "hidream"
  | "hunyuanImage"
  | "auraFlow"
  | "flux2";

/** How weights are held in memory, as ComfyUI calls it. */
export type WeightType = "default" | "fp8_e4m3fn" | "fp8_e4m3fn_fast" | "fp8_e5m2";

export interface ModelFilesSpec {
  readonly family: ModelFamily;
  readonly diffusionModel: string;
  readonly textEncoders: readonly string[];
  readonly weightType?: WeightType;
  readonly guidance?: number;
  readonly shift?: number;
}

export interface PreviewSpec {
  readonly maxSidePx?: number;
  readonly format?: "jpeg" | "webp";
}

export interface OutputSpec {
  readonly format?: ImageFormat;
  readonly quality?: number;
  readonly inlineLimitBytes?: number;
  readonly metadata?: MetadataChoice;
  /** Absent: as the server is configured. */
  readonly aiMark?: boolean;
  /** Absent: none. */
  readonly thumbnail?: ThumbnailSpec;
}

export interface ThumbnailSpec {
  readonly maxSidePx?: number;
  readonly format?: "jpeg" | "webp";
}

/** What becomes of the metadata of an image: see `ImageMetadata` of the public API. */
export type MetadataChoice = "keep" | "strip" | "replace";

/** A generation in which nothing is left open, so that it can be repeated. */
export interface ResolvedGeneration {
  readonly task: ResolvedTask;
  readonly preview?: Required<PreviewSpec>;
  readonly output: ResolvedOutput;
  readonly detach: boolean;
  readonly allowReuse: boolean;
}

export type ResolvedTask =
  | ResolvedPicture
  | ResolvedUpscaleTask
  | WorkflowTask<InputImage>
  | ResolvedTemplate;

export interface ResolvedPicture {
  readonly type: "picture";
  readonly prompt: string;
  readonly negativePrompt: string;
  /** Empty if `modelFiles` stands in its place. */
  readonly model: string;
  /** Size of what is drawn first; a second pass and an enlargement come on top. */
  readonly widthPx: number;
  readonly heightPx: number;
  readonly steps: number;
  readonly cfg: number;
  readonly denoise: number;
  readonly sampler: string;
  readonly scheduler: string;
  /** Seed of the first image; see {@link seedOfImage}. */
  readonly seed: bigint;
  readonly imageCount: number;
  readonly loras: readonly Required<LoraSpec>[];
  readonly clipSkip?: number;
  readonly vae?: string;
  readonly start?: ResolvedStart;
  readonly hires?: ResolvedHires;
  readonly upscale?: ResolvedUpscale;
  readonly controlNets: readonly ResolvedControlNet[];
  readonly refiner?: ResolvedRefiner;
  readonly modelFiles?: ResolvedModelFiles;
}

export type ResolvedStart = ResolvedImageToImage | ResolvedInpaint | ResolvedOutpaint;

export interface ResolvedImageToImage {
  readonly type: "imageToImage";
  readonly image: InputImage;
  readonly resize: Resize;
}

export interface ResolvedInpaint {
  readonly type: "inpaint";
  readonly image: InputImage;
  readonly mask?: InputImage;
  readonly invertMask: boolean;
  readonly growPx: number;
  readonly featherPx: number;
  readonly method: InpaintMethod;
  readonly keepUnmasked: boolean;
  readonly resize: Resize;
}

export interface ResolvedOutpaint {
  readonly type: "outpaint";
  readonly image: InputImage;
  readonly leftPx: number;
  readonly topPx: number;
  readonly rightPx: number;
  readonly bottomPx: number;
  readonly featherPx: number;
  readonly method: InpaintMethod;
  readonly keepOriginal: boolean;
}

export interface ResolvedHires {
  readonly scale: number;
  readonly method: "latent" | "pixel";
  readonly scaling: string;
  readonly upscaleModel?: string;
  readonly steps: number;
  readonly denoise: number;
}

/** By a model, to a size, or by a model and then to the size. A factor has become the size that it comes to. */
export interface ResolvedUpscale {
  readonly model?: string;
  readonly widthPx?: number;
  readonly heightPx?: number;
  readonly resize: Resize;
  readonly scaling: string;
}

export interface ResolvedUpscaleTask {
  readonly type: "upscale";
  readonly image: InputImage;
  readonly upscale: ResolvedUpscale;
}

export interface ResolvedControlNet {
  readonly model: string;
  readonly image: InputImage;
  readonly strength: number;
  readonly start: number;
  readonly end: number;
  readonly preprocessor?: "canny" | "invert";
}

export interface ResolvedRefiner {
  readonly model: string;
  readonly switchAt: number;
  readonly aestheticScore?: number;
}

export interface ResolvedModelFiles {
  readonly family: ModelFamily;
  readonly diffusionModel: string;
  readonly textEncoders: readonly string[];
  readonly weightType: WeightType;
  /** Absent for families without it. */
  readonly guidance?: number;
  /** Absent for families without it. */
  readonly shift?: number;
}

/** A template of which version and parameters are settled. */
export interface ResolvedTemplate {
  readonly type: "template";
  readonly name: string;
  readonly version: number;
  readonly parameters: Readonly<Record<string, ParameterValue>>;
}

export interface ResolvedOutput {
  readonly format: ImageFormat;
  /** Absent for PNG. */
  readonly quality?: number;
  readonly inlineLimitBytes: number;
  readonly metadata: MetadataChoice;
  /** Whether images say, for programs, that they were made by AI. */
  readonly aiMark: boolean;
  /** Absent: none. */
  readonly thumbnail?: Required<ThumbnailSpec>;
}

/** Seed of image number `index`: the seeds of a job follow each other and wrap at 2^64. */
export function seedOfImage(seed: bigint, index: number): bigint {
  return BigInt.asUintN(64, seed + BigInt(index));
}
