import { ControlNetPreprocessor } from "../../gen/comfyrpc/v1/control_net_pb.js";
import { Resize } from "../../gen/comfyrpc/v1/image_input_pb.js";
import { ModelFamily, WeightType } from "../../gen/comfyrpc/v1/model_files_pb.js";
import { InpaintMethod } from "../../gen/comfyrpc/v1/start_image_pb.js";
import { HiresMethod } from "../../gen/comfyrpc/v1/upscale_pb.js";

// What the values of enums are called on the command line.

/** The value that `name` stands for; the one that says nothing, which is 0 in every enum, if there is no name. */
export function enumValue<Value extends number>(
  values: Readonly<Record<string, Value>>,
  name: string | undefined,
): Value | 0 {
  return (name === undefined ? undefined : values[name]) ?? 0;
}

export const inpaintMethods: Readonly<Record<string, InpaintMethod>> = {
  soft: InpaintMethod.SOFT,
  hard: InpaintMethod.HARD,
  model: InpaintMethod.MODEL,
};

export const resizes: Readonly<Record<string, Resize>> = { crop: Resize.CROP, stretch: Resize.STRETCH };

export const hiresMethods: Readonly<Record<string, HiresMethod>> = {
  pixel: HiresMethod.PIXEL,
  latent: HiresMethod.LATENT,
};

export const preprocessors: Readonly<Record<string, ControlNetPreprocessor>> = {
  canny: ControlNetPreprocessor.CANNY,
  invert: ControlNetPreprocessor.INVERT,
};

export const modelFamilies: Readonly<Record<string, ModelFamily>> = {
  flux: ModelFamily.FLUX,
  sd3: ModelFamily.SD3,
  "qwen-image": ModelFamily.QWEN_IMAGE,
  "z-image": ModelFamily.Z_IMAGE,
  lumina2: ModelFamily.LUMINA2,
  chroma: ModelFamily.CHROMA,
  hidream: ModelFamily.HIDREAM,
  "hunyuan-image": ModelFamily.HUNYUAN_IMAGE,
  "aura-flow": ModelFamily.AURA_FLOW,
  flux2: ModelFamily.FLUX2,
};

export const weightTypes: Readonly<Record<string, WeightType>> = {
  default: WeightType.DEFAULT,
  fp8_e4m3fn: WeightType.FP8_E4M3FN,
  fp8_e4m3fn_fast: WeightType.FP8_E4M3FN_FAST,
  fp8_e5m2: WeightType.FP8_E5M2,
};
