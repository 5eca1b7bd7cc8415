import { create, type JsonObject, type MessageInitShape } from "@bufbuild/protobuf";
import {
  GenerationSpecSchema,
  type GenerationSpec as SpecMessage,
} from "../../../gen/comfyrpc/v1/generation_pb.js";
import type {
  ParameterValue,
  ResolvedPicture,
  ResolvedStart,
  ResolvedTask,
  ResolvedUpscale,
} from "../../domain/generation.ts";
import { toImageInput } from "./image-input.ts";
import {
  hiresMethods,
  inpaintMethods,
  modelFamilies,
  preprocessors,
  resizes,
  weightTypes,
} from "./task-enums.ts";

type SpecInit = Exclude<MessageInitShape<typeof GenerationSpecSchema>, SpecMessage>;

/** Writes a task of which nothing is left open as a spec that asks for the same. */
export function toTaskMessage(task: ResolvedTask): SpecMessage {
  return create(GenerationSpecSchema, toTaskInit(task));
}

function toTaskInit(task: ResolvedTask): SpecInit {
  switch (task.type) {
    case "picture":
      return toPicture(task);
    case "upscale":
      return { upscale: { ...toUpscale(task.upscale), image: toImageInput(task.image) } };
    case "workflow":
      return {
        workflow: {
          json: task.json,
          images: Object.fromEntries(
            Object.entries(task.images).map(([input, image]) => [input, toImageInput(image)]),
          ),
        },
      };
    case "template":
      return {
        template: {
          name: task.name,
          revision: { case: "version", value: task.version },
          parameters: toStruct(task.parameters),
        },
      };
  }
}

function toPicture(picture: ResolvedPicture): SpecInit {
  const {
    type: _,
    widthPx,
    heightPx,
    start,
    hires,
    upscale,
    controlNets,
    refiner,
    modelFiles,
    ...plain
  } = picture;
  return {
    ...plain,
    // That of an outpainted picture follows from its image, and is refused beside it.
    ...(start?.type !== "outpaint" && { widthPx, heightPx }),
    loras: picture.loras.map((lora) => ({ ...lora })),
    ...(start && { start: toStart(start) }),
    ...(hires && { hires: { ...hires, method: hiresMethods.toMessage[hires.method] } }),
    ...(upscale && { upscale: toUpscale(upscale) }),
    controlNets: controlNets.map(({ image, preprocessor, ...net }) => ({
      ...net,
      image: toImageInput(image),
      ...(preprocessor && { preprocessor: preprocessors.toMessage[preprocessor] }),
    })),
    ...(refiner && { refiner: { ...refiner } }),
    ...(modelFiles && {
      modelFiles: {
        ...modelFiles,
        textEncoders: [...modelFiles.textEncoders],
        family: modelFamilies.toMessage[modelFiles.family],
        weightType: weightTypes.toMessage[modelFiles.weightType],
      },
    }),
  };
}

function toStart(start: ResolvedStart): NonNullable<SpecInit["start"]> {
  switch (start.type) {
    case "imageToImage": {
      const { type, image, resize } = start;
      return { case: type, value: { image: toImageInput(image), resize: resizes.toMessage[resize] } };
    }
    case "inpaint": {
      const { type, image, mask, method, resize, ...rest } = start;
      return {
        case: type,
        value: {
          ...rest,
          image: toImageInput(image),
          ...(mask && { mask: toImageInput(mask) }),
          method: inpaintMethods.toMessage[method],
          resize: resizes.toMessage[resize],
        },
      };
    }
    case "outpaint": {
      const { type, image, method, ...rest } = start;
      return {
        case: type,
        value: { ...rest, image: toImageInput(image), method: inpaintMethods.toMessage[method] },
      };
    }
  }
}

function toUpscale({ resize, ...upscale }: ResolvedUpscale) {
  return { ...upscale, resize: resizes.toMessage[resize] };
}

function toStruct(parameters: Readonly<Record<string, ParameterValue>>): JsonObject {
  return Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, toJson(value)]));
}

function toJson(value: ParameterValue): JsonObject[string] {
  if (isList(value)) {
    return value.map(toJson);
  }
  return typeof value === "object" && value !== null ? toStruct(value) : value;
}

/** `Array.isArray` does not tell readonly arrays apart. */
function isList(value: ParameterValue): value is readonly ParameterValue[] {
  return Array.isArray(value);
}
