import type { ResolvedUpscale, ResolvedUpscaleTask, UpscaleSpec, UpscaleTask } from "../generation.ts";
import type { InputImage } from "../input-image.ts";
import type { Problems } from "./problems.ts";
import type { PixelSize, ResolveInputs } from "./resolve-inputs.ts";

/** Fills in how an image is enlarged, and notes what is wrong with that. */
export function resolveUpscaleTask(
  { image, upscale }: UpscaleTask<InputImage>,
  inputs: Pick<ResolveInputs, "names" | "limits">,
  problems: Problems,
): ResolvedUpscaleTask {
  return { type: "upscale", image, upscale: resolveUpscale(upscale, image, inputs, problems) };
}

/**
 * Fills in how a picture of size `from` is enlarged. A factor, or one side, becomes the size that it comes to, so that
 * the outcome has that size exactly, whatever a model makes of it.
 */
export function resolveUpscale(
  spec: UpscaleSpec,
  from: PixelSize,
  { names, limits }: Pick<ResolveInputs, "names" | "limits">,
  problems: Problems,
): ResolvedUpscale {
  const model = knownUpscaler(spec.model, "spec.upscale.model", names.models.upscaler, problems);
  const target = targetOf(spec, from);
  checkReached(fieldOfTarget(spec), target ?? scaled(from, factorOfModel(spec.model)), limits, problems);
  if (target !== undefined) {
    checkBetween("spec.upscale.model", spec.model, from, limits, problems);
  }
  return {
    ...(model !== undefined && { model }),
    ...target,
    resize: spec.resize ?? "crop",
    scaling: spec.scaling || "lanczos",
  };
}

/** The listed spelling of an upscale model; `undefined` if none is given. */
export function knownUpscaler(
  name: string,
  field: string,
  listed: readonly string[],
  problems: Problems,
): string | undefined {
  return name === ""
    ? undefined
    : problems.known({
        what: "upscale model",
        reason: "MODEL_NOT_FOUND",
        kind: "upscaler",
        field,
        name,
        listed,
      });
}

/** Largest side in the schema, and the largest that ComfyUI scales to. */
const maxSidePx = 16_384;

function checkReached(
  field: string,
  { widthPx, heightPx }: PixelSize,
  { maxUpscaledPixels }: ResolveInputs["limits"],
  problems: Problems,
): void {
  if (Math.max(widthPx, heightPx) > maxSidePx) {
    problems.add(
      field,
      `the picture would have ${widthPx} x ${heightPx} pixels, and no side may have more than ${maxSidePx}; ` +
        "enlarge it less",
    );
    return;
  }
  const unit = "pixels, width times height, after enlarging";
  problems.atMost(field, unit, widthPx * heightPx, maxUpscaledPixels);
}

/**
 * Notes if a model makes too large a picture of one of size `from` before that is scaled to its size: the backend holds it
 * whole, in 12 bytes a pixel. It may be twice as long on each side as what comes of it, so that a model of factor 4 can do
 * the work of one of factor 2.
 */
export function checkBetween(
  field: string,
  model: string,
  from: PixelSize,
  { maxUpscaledPixels }: ResolveInputs["limits"],
  problems: Problems,
): void {
  if (model !== "") {
    const { widthPx, heightPx } = scaled(from, factorOfModel(model));
    const unit = "pixels, width times height, before the picture is scaled to its size";
    problems.atMost(field, unit, widthPx * heightPx, 4 * maxUpscaledPixels);
  }
}

/** What says how large the picture becomes. */
function fieldOfTarget({ factor, widthPx, heightPx }: UpscaleSpec): string {
  if (factor !== undefined) {
    return "spec.upscale.factor";
  }
  if (widthPx !== undefined) {
    return "spec.upscale.width_px";
  }
  return heightPx !== undefined ? "spec.upscale.height_px" : "spec.upscale.model";
}

function targetOf({ factor, widthPx, heightPx }: UpscaleSpec, from: PixelSize): PixelSize | undefined {
  if (factor !== undefined) {
    return scaled(from, factor);
  }
  if (widthPx === undefined && heightPx === undefined) {
    return undefined;
  }
  return {
    widthPx: widthPx ?? atLeastOne(((heightPx ?? 1) * from.widthPx) / from.heightPx),
    heightPx: heightPx ?? atLeastOne(((widthPx ?? 1) * from.heightPx) / from.widthPx),
  };
}

/** How far a model enlarges, which only its name tells: `4x-…`, `…_x2…`. Most of those that do not say it have 4. */
function factorOfModel(name: string): number {
  const [, before, after] = /(?<!\d)([1248])x|x([1248])(?!\d)/i.exec(name) ?? [];
  return Number(before ?? after ?? 4);
}

function scaled({ widthPx, heightPx }: PixelSize, factor: number): PixelSize {
  return { widthPx: atLeastOne(widthPx * factor), heightPx: atLeastOne(heightPx * factor) };
}

function atLeastOne(sidePx: number): number {
  return Math.max(1, Math.round(sidePx));
}
