import { ControlNetPreprocessor } from "../../../gen/comfyrpc/v1/control_net_pb.js";
import { Resize } from "../../../gen/comfyrpc/v1/image_input_pb.js";
import { ModelFamily, WeightType } from "../../../gen/comfyrpc/v1/model_files_pb.js";
import { InpaintMethod } from "../../../gen/comfyrpc/v1/start_image_pb.js";
import { HiresMethod } from "../../../gen/comfyrpc/v1/upscale_pb.js";
import type {
  InpaintMethod as DomainInpaintMethod,
  ModelFamily as DomainModelFamily,
  Resize as DomainResize,
  WeightType as DomainWeightType,
} from "../../domain/generation.ts";

/** What the API calls each value of an enum, and back; the value that says nothing has no counterpart. */
export interface EnumNames<Domain extends string, Value extends number> {
  readonly toMessage: Readonly<Record<Domain, Value>>;
  fromMessage(value: Value): Domain | undefined;
}

function enumNames<Domain extends string, Value extends number>(
  toMessage: Readonly<Record<Domain, Value>>,
): EnumNames<Domain, Value> {
  const names = new Map<Value, Domain>();
  for (const name in toMessage) {
    names.set(toMessage[name], name);
  }
  return { toMessage, fromMessage: (value) => names.get(value) };
}

export const resizes: EnumNames<DomainResize, Resize> = enumNames({
  crop: Resize.CROP,
  stretch: Resize.STRETCH,
});

export const inpaintMethods: EnumNames<DomainInpaintMethod, InpaintMethod> = enumNames({
  soft: InpaintMethod.SOFT,
  hard: InpaintMethod.HARD,
  model: InpaintMethod.MODEL,
});

export const hiresMethods: EnumNames<"latent" | "pixel", HiresMethod> = enumNames({
  latent: HiresMethod.LATENT,
  pixel: HiresMethod.PIXEL,
});

export const preprocessors: EnumNames<"canny" | "invert", ControlNetPreprocessor> = enumNames({
  canny: ControlNetPreprocessor.CANNY,
  invert: ControlNetPreprocessor.INVERT,
});

export const modelFamilies: EnumNames<DomainModelFamily, ModelFamily> = enumNames({
  flux: ModelFamily.FLUX,
  sd3: ModelFamily.SD3,
  qwenImage: ModelFamily.QWEN_IMAGE,
  zImage: ModelFamily.Z_IMAGE,
  lumina2: ModelFamily.LUMINA2,
  chroma: ModelFamily.CHROMA,
  hidream: ModelFamily.HIDREAM,
  hunyuanImage: ModelFamily.HUNYUAN_IMAGE,
  auraFlow: ModelFamily.AURA_FLOW,
  flux2: ModelFamily.FLUX2,
});

export const weightTypes: EnumNames<DomainWeightType, WeightType> = enumNames({
  default: WeightType.DEFAULT,
  fp8_e4m3fn: WeightType.FP8_E4M3FN,
  fp8_e4m3fn_fast: WeightType.FP8_E4M3FN_FAST,
  fp8_e5m2: WeightType.FP8_E5M2,
});
