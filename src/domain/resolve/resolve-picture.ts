import type {
  ControlNetSpec,
  HiresSpec,
  LoraSpec,
  ModelFilesSpec,
  PictureTask,
  RefinerSpec,
  ResolvedControlNet,
  ResolvedHires,
  ResolvedPicture,
  ResolvedRefiner,
} from "../generation.ts";
import type { InputImage } from "../input-image.ts";
import { modelFamilies } from "./model-families.ts";
import { findListed, type Problems } from "./problems.ts";
import type { KnownNames, PixelSize, ResolveInputs } from "./resolve-inputs.ts";
import { resolveModelFiles } from "./resolve-model-files.ts";
import { resolveStart } from "./resolve-start.ts";
import { checkBetween, knownUpscaler, resolveUpscale } from "./resolve-upscale.ts";
import { canonicalSampler } from "./sampler-aliases.ts";
import { resolveSize } from "./size.ts";

/** The checkpoint that a picture means, in the backend's spelling; `undefined` if the backend does not have it. */
export function findCheckpoint(
  task: PictureTask<unknown>,
  names: KnownNames,
  defaultModel: string,
): string | undefined {
  return findListed(wantedCheckpoint(task, names, defaultModel), names.models.checkpoint);
}

function wantedCheckpoint(task: PictureTask<unknown>, names: KnownNames, defaultModel: string): string {
  return task.model || defaultModel || (names.models.checkpoint[0] ?? "");
}

/**
 * Fills in what a picture leaves open, and notes what the schema cannot check: names against the backend, images against
 * what they are for, the operator's limits, and what cannot be combined.
 */
export function resolvePicture(
  task: PictureTask<InputImage>,
  inputs: ResolveInputs,
  problems: Problems,
): ResolvedPicture {
  const { names, limits } = inputs;
  const family = task.modelFiles && modelFamilies[task.modelFiles.family];
  const model =
    task.modelFiles !== undefined
      ? ""
      : problems.known({
          what: "checkpoint",
          reason: "MODEL_NOT_FOUND",
          kind: "checkpoint",
          field: "spec.model",
          name: wantedCheckpoint(task, names, inputs.defaultModel),
          listed: names.models.checkpoint,
          isDefault: task.model === "",
        });
  const sampler = problems.known({
    what: "sampler",
    reason: "SAMPLER_NOT_FOUND",
    field: "spec.sampler",
    name: canonicalSampler(task.sampler || "euler", names.samplers),
    listed: names.samplers,
    isDefault: task.sampler === "",
  });
  const scheduler = problems.known({
    what: "scheduler",
    reason: "SCHEDULER_NOT_FOUND",
    field: "spec.scheduler",
    name: task.scheduler || (family?.scheduler ?? "normal"),
    listed: names.schedulers,
    isDefault: task.scheduler === "",
  });
  const loras = task.loras.map((lora, i) => resolveLora(lora, i, names, problems));
  const vae =
    task.vae === ""
      ? undefined
      : problems.known({
          what: "VAE",
          reason: "VAE_NOT_FOUND",
          kind: "vae",
          field: "spec.vae",
          name: task.vae,
          listed: names.models.vae,
        });
  const size = resolveSize(task, family ?? {}, inputs);
  const steps = task.steps ?? Math.min(family?.steps ?? 20, limits.maxSteps);
  const imageCount = task.imageCount ?? 1;
  const sizeField = task.start?.type === "outpaint" ? "spec.outpaint" : "spec.width_px";
  problems.atMost(sizeField, "pixels, width times height", size.widthPx * size.heightPx, limits.maxPixels);
  problems.atMost("spec.steps", "steps", steps, limits.maxSteps);
  problems.atMost("spec.image_count", "images", imageCount, limits.maxImageCount);

  checkSides(task, family?.sideMultiplePx ?? 8, problems);

  const drawn = { ...size, ...(task.modelFiles && { modelFiles: task.modelFiles }) };
  const start = task.start && resolveStart(task.start, problems);
  const hires = task.hires && resolveHires(task.hires, drawn, steps, inputs, problems);
  const upscale = task.upscale && resolveUpscale(task.upscale, hiresSize(drawn, hires), inputs, problems);
  const controlNets = task.controlNets.map((net, i) => resolveControlNet(net, i, names, problems));
  const refiner = task.refiner && resolveRefiner(task.refiner, names, problems);
  const modelFiles = task.modelFiles && resolveModelFiles(task.modelFiles, names.models, problems);
  checkCombination(task, problems);
  return {
    type: "picture",
    prompt: task.prompt,
    negativePrompt: task.negativePrompt,
    model,
    ...size,
    steps,
    cfg: task.cfg ?? family?.cfg ?? 7,
    denoise: task.denoise ?? defaultDenoise(start),
    sampler,
    scheduler,
    seed: task.seed ?? inputs.randomSeed(),
    imageCount,
    loras,
    ...(task.clipSkip !== undefined && { clipSkip: task.clipSkip }),
    ...(vae !== undefined && { vae }),
    ...(start && { start }),
    ...(hires && { hires }),
    ...(upscale && { upscale }),
    controlNets,
    ...(refiner && { refiner }),
    ...(modelFiles && { modelFiles }),
  };
}

/** Size of a picture after its second pass, of which latents can be made. */
export function hiresSize(
  size: PixelSize & { readonly modelFiles?: Pick<ModelFilesSpec, "family"> },
  hires: Pick<ResolvedHires, "scale"> | undefined,
): PixelSize {
  const multiplePx = (size.modelFiles && modelFamilies[size.modelFiles.family].sideMultiplePx) ?? 8;
  const scaled = (sidePx: number) =>
    hires ? Math.round((sidePx * hires.scale) / multiplePx) * multiplePx : sidePx;
  return { widthPx: scaled(size.widthPx), heightPx: scaled(size.heightPx) };
}

function resolveHires(
  spec: HiresSpec,
  size: Parameters<typeof hiresSize>[0],
  steps: number,
  { names, limits }: ResolveInputs,
  problems: Problems,
): ResolvedHires {
  const method = spec.method ?? "pixel";
  const scale = spec.scale ?? 2;
  const { widthPx, heightPx } = hiresSize(size, { scale });
  problems.atMost(
    "spec.hires.scale",
    "pixels, width times height, in the second pass",
    widthPx * heightPx,
    limits.maxPixels,
  );
  if (spec.steps !== undefined) {
    problems.atMost("spec.hires.steps", "steps", spec.steps, limits.maxSteps);
  }
  checkBetween("spec.hires.upscale_model", spec.upscaleModel, size, limits, problems);
  const upscaleModel = knownUpscaler(
    spec.upscaleModel,
    "spec.hires.upscale_model",
    names.models.upscaler,
    problems,
  );
  return {
    scale,
    method,
    scaling: spec.scaling || (method === "latent" ? "bislerp" : "lanczos"),
    ...(upscaleModel !== undefined && { upscaleModel }),
    steps: spec.steps ?? steps,
    denoise: spec.denoise ?? (method === "latent" ? 0.5 : 0.4),
  };
}

function resolveControlNet(
  net: ControlNetSpec<InputImage>,
  index: number,
  names: KnownNames,
  problems: Problems,
): ResolvedControlNet {
  const model = problems.known({
    what: "ControlNet",
    reason: "MODEL_NOT_FOUND",
    kind: "controlnet",
    field: `spec.control_nets[${index}].model`,
    name: net.model,
    listed: names.models.controlnet,
  });
  return { ...net, model, strength: net.strength ?? 1, start: net.start ?? 0, end: net.end ?? 1 };
}

function resolveRefiner(spec: RefinerSpec, names: KnownNames, problems: Problems): ResolvedRefiner {
  const model = problems.known({
    what: "checkpoint",
    reason: "MODEL_NOT_FOUND",
    kind: "checkpoint",
    field: "spec.refiner.model",
    name: spec.model,
    listed: names.models.checkpoint,
  });
  return { ...spec, model, switchAt: spec.switchAt ?? 0.8 };
}

function resolveLora(
  lora: LoraSpec,
  index: number,
  names: KnownNames,
  problems: Problems,
): Required<LoraSpec> {
  const modelStrength = lora.modelStrength ?? 1;
  return {
    name: problems.known({
      what: "LoRA",
      reason: "LORA_NOT_FOUND",
      kind: "lora",
      field: `spec.loras[${index}].name`,
      name: lora.name,
      listed: names.models.lora,
    }),
    modelStrength,
    clipStrength: lora.clipStrength ?? modelStrength,
  };
}

/** The schema knows of multiples of 8 alone. */
function checkSides(
  { widthPx, heightPx }: PictureTask<unknown>,
  multiplePx: number,
  problems: Problems,
): void {
  for (const [field, sidePx] of [
    ["spec.width_px", widthPx],
    ["spec.height_px", heightPx],
  ] as const) {
    if (sidePx !== undefined && sidePx % multiplePx !== 0) {
      problems.add(field, `must be a multiple of ${multiplePx} with models of this family`);
    }
  }
}

/** What each feature does to the picture as a whole decides what it goes together with. */
function checkCombination({ start, hires, refiner }: PictureTask<unknown>, problems: Problems): void {
  const keepsPart = start?.type === "inpaint" || start?.type === "outpaint";
  if (keepsPart && hires !== undefined) {
    problems.add(
      "spec.hires",
      "a second pass draws the whole picture anew, of which a part is to be kept; leave it out, or enlarge the picture " +
        "by upscale",
    );
  }
  if (keepsPart && start.method === "model" && refiner !== undefined) {
    problems.add(
      "spec.refiner",
      "a refiner knows nothing of the mask that an inpaint model is told of; use the soft or hard method, or leave " +
        "the refiner out",
    );
  }
}

function defaultDenoise(start: ResolvedPicture["start"]): number {
  switch (start?.type) {
    case "imageToImage":
      return 0.6;
    case "inpaint":
    case "outpaint":
      return start.method === "soft" ? 0.8 : 1;
    case undefined:
      return 1;
  }
}
