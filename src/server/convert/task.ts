import type { GenerationSpec as SpecMessage } from "../../../gen/comfyrpc/v1/generation_pb.js";
import type { ModelFiles } from "../../../gen/comfyrpc/v1/model_files_pb.js";
import type { HiresPass, Upscale } from "../../../gen/comfyrpc/v1/upscale_pb.js";
import type { TemplateRun } from "../../../gen/comfyrpc/v1/workflow_source_pb.js";
import type {
  HiresSpec,
  ModelFilesSpec,
  PictureTask,
  StartSpec,
  Task,
  TemplateTask,
  UpscaleSpec,
} from "../../domain/generation.ts";
import type { ImageSource } from "../../domain/input-image.ts";
import { invalidField, invalidFields } from "../invalid-fields.ts";
import { defined } from "./defined.ts";
import { fromImageInput } from "./image-input.ts";
import {
  hiresMethods,
  inpaintMethods,
  modelFamilies,
  preprocessors,
  resizes,
  weightTypes,
} from "./task-enums.ts";

/**
 * Reads what a spec asks to be done.
 *
 * @throws ServiceError `INVALID_FIELD` if it says things that only matter where something else is done
 */
export function fromTask(spec: SpecMessage): Task<ImageSource> {
  if (spec.template !== undefined) {
    assertAlone(spec, "a template", ["template"]);
    return fromTemplateRun(spec.template);
  }
  if (spec.workflow !== undefined) {
    assertAlone(spec, "a workflow", ["workflow"]);
    const { json, images } = spec.workflow;
    return {
      type: "workflow",
      json,
      images: Object.fromEntries(
        Object.entries(images).map(([input, image]) => [
          input,
          fromImageInput(image, `spec.workflow.images[${JSON.stringify(input)}]`),
        ]),
      ),
    };
  }
  if (spec.upscale?.image !== undefined) {
    assertAlone(spec, "an image to enlarge (upscale.image)", ["upscale"]);
    const image = fromImageInput(spec.upscale.image, "spec.upscale.image");
    return { type: "upscale", image, upscale: fromUpscale(spec.upscale) };
  }
  return fromPicture(spec);
}

function fromPicture(spec: SpecMessage): PictureTask<ImageSource> {
  const { hires, upscale, refiner, modelFiles } = spec;
  return defined({
    type: "picture" as const,
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
    start: fromStart(spec.start),
    hires: hires && fromHires(hires),
    upscale: upscale && fromUpscale(upscale),
    controlNets: spec.controlNets.map(({ model, image, strength, start, end, preprocessor }, i) =>
      defined({
        model,
        image: fromImageInput(image, `spec.control_nets[${i}].image`),
        strength,
        start,
        end,
        preprocessor: preprocessors.fromMessage(preprocessor),
      }),
    ),
    refiner:
      refiner &&
      defined({ model: refiner.model, switchAt: refiner.switchAt, aestheticScore: refiner.aestheticScore }),
    modelFiles: modelFiles && fromModelFiles(modelFiles),
  });
}

function fromStart(start: SpecMessage["start"]): StartSpec<ImageSource> | undefined {
  switch (start.case) {
    case "imageToImage": {
      const { image, resize } = start.value;
      return defined({
        type: start.case,
        image: fromImageInput(image, "spec.image_to_image.image"),
        resize: resizes.fromMessage(resize),
      });
    }
    case "inpaint": {
      const { image, mask, invertMask, growPx, featherPx, method, keepUnmasked, resize } = start.value;
      return defined({
        type: start.case,
        image: fromImageInput(image, "spec.inpaint.image"),
        mask: mask && fromImageInput(mask, "spec.inpaint.mask"),
        invertMask,
        growPx,
        featherPx,
        method: inpaintMethods.fromMessage(method),
        keepUnmasked,
        resize: resizes.fromMessage(resize),
      });
    }
    case "outpaint": {
      const { image, leftPx, topPx, rightPx, bottomPx, featherPx, method, keepOriginal } = start.value;
      return defined({
        type: start.case,
        image: fromImageInput(image, "spec.outpaint.image"),
        leftPx,
        topPx,
        rightPx,
        bottomPx,
        featherPx,
        method: inpaintMethods.fromMessage(method),
        keepOriginal,
      });
    }
    case undefined:
      return undefined;
  }
}

function fromHires({ scale, method, scaling, upscaleModel, steps, denoise }: HiresPass): HiresSpec {
  return defined({ scale, method: hiresMethods.fromMessage(method), scaling, upscaleModel, steps, denoise });
}

function fromUpscale({ model, factor, widthPx, heightPx, resize, scaling }: Upscale): UpscaleSpec {
  return defined({ model, factor, widthPx, heightPx, resize: resizes.fromMessage(resize), scaling });
}

function fromModelFiles(files: ModelFiles): ModelFilesSpec {
  const family = modelFamilies.fromMessage(files.family);
  if (family === undefined) {
    throw invalidField("spec.model_files.family", "value is required");
  }
  return defined({
    family,
    diffusionModel: files.diffusionModel,
    textEncoders: files.textEncoders,
    weightType: weightTypes.fromMessage(files.weightType),
    guidance: files.guidance,
    shift: files.shift,
  });
}

function fromTemplateRun({ name, revision, parameters }: TemplateRun): TemplateTask {
  return {
    type: "template",
    name,
    ...(revision.case === "version" && { revision: { version: revision.value } }),
    ...(revision.case === "alias" && { revision: { alias: revision.value } }),
    parameters: parameters ?? {},
  };
}

/** Fields of a spec that count for a picture alone, by the names that the `.proto` gives them. */
const pictureFields = {
  prompt: "prompt",
  negativePrompt: "negative_prompt",
  model: "model",
  widthPx: "width_px",
  heightPx: "height_px",
  steps: "steps",
  cfg: "cfg",
  denoise: "denoise",
  sampler: "sampler",
  scheduler: "scheduler",
  seed: "seed",
  imageCount: "image_count",
  loras: "loras",
  clipSkip: "clip_skip",
  vae: "vae",
  hires: "hires",
  upscale: "upscale",
  controlNets: "control_nets",
  refiner: "refiner",
  modelFiles: "model_files",
} as const satisfies Partial<Record<keyof SpecMessage, string>>;

const startFields = { imageToImage: "image_to_image", inpaint: "inpaint", outpaint: "outpaint" } as const;

function assertAlone(spec: SpecMessage, what: string, own: readonly string[]): void {
  const given = Object.entries(pictureFields)
    .filter(([member]) => isGiven(spec[member as keyof typeof pictureFields]))
    .map(([, field]) => field);
  const start = spec.start.case === undefined ? [] : [startFields[spec.start.case]];
  const description = `has no effect beside ${what}; leave it out`;
  const violations = [...given, ...start]
    .filter((field) => !own.includes(field))
    .map((field) => ({ field: `spec.${field}`, description }));
  if (violations.length > 0) {
    throw invalidFields(violations);
  }
}

function isGiven(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== "";
}
