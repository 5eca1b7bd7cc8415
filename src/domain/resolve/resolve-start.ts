import type { ResolvedStart, StartSpec } from "../generation.ts";
import type { InputImage } from "../input-image.ts";
import type { Problems } from "./problems.ts";
import { maxSidePx, minSidePx } from "./size.ts";

/** Fills in what a picture starts from, and notes images and masks that cannot do what they were given for. */
export function resolveStart(start: StartSpec<InputImage>, problems: Problems): ResolvedStart {
  switch (start.type) {
    case "imageToImage":
      return { ...start, resize: start.resize ?? "crop" };
    case "inpaint":
      checkMask(start, problems);
      return {
        ...start,
        growPx: start.growPx ?? 6,
        featherPx: start.featherPx ?? 0,
        method: start.method ?? "soft",
        keepUnmasked: start.keepUnmasked ?? true,
        resize: start.resize ?? "crop",
      };
    case "outpaint": {
      const { image, leftPx, topPx, rightPx, bottomPx } = start;
      const [widthPx, heightPx] = [image.widthPx + leftPx + rightPx, image.heightPx + topPx + bottomPx];
      const size = `the picture would have ${widthPx} x ${heightPx} pixels, and no side may have`;
      if (Math.max(widthPx, heightPx) > maxSidePx) {
        problems.add(
          "spec.outpaint",
          `${size} more than ${maxSidePx}; extend it less, or make the image smaller first`,
        );
      } else if (Math.min(widthPx, heightPx) < minSidePx) {
        problems.add(
          "spec.outpaint",
          `${size} fewer than ${minSidePx}; extend it more, or make the image larger first`,
        );
      }
      return {
        ...start,
        featherPx: resolveFeather(start.featherPx, image, problems),
        method: start.method ?? "hard",
        keepOriginal: start.keepOriginal ?? true,
      };
    }
  }
}

/** Of a fade over half of a side or more ComfyUI makes none at all. */
function resolveFeather(
  featherPx: number | undefined,
  { widthPx, heightPx }: InputImage,
  problems: Problems,
): number {
  const mostPx = Math.ceil(Math.min(widthPx, heightPx) / 2) - 1;
  if (featherPx !== undefined && featherPx > mostPx) {
    problems.add(
      "spec.outpaint.feather_px",
      `an image of ${widthPx} x ${heightPx} pixels can fade over at most ${mostPx}, less than half of each side`,
    );
  }
  return featherPx ?? Math.min(40, mostPx);
}

/** ComfyUI takes an image without transparency for a mask of nothing, and a mask of another size for one of that size. */
function checkMask(
  { image, mask, invertMask }: Extract<StartSpec<InputImage>, { type: "inpaint" }>,
  problems: Problems,
): void {
  if (mask === undefined) {
    if (!image.hasTransparency) {
      problems.add(
        "spec.inpaint.mask",
        "not given, and the image has no transparent pixel that would say where to draw: give a mask, or make " +
          "what is to be drawn transparent",
        "INPUT_REJECTED",
      );
    }
  } else if (mask.widthPx !== image.widthPx || mask.heightPx !== image.heightPx) {
    problems.add(
      "spec.inpaint.mask",
      `has ${mask.widthPx} x ${mask.heightPx} pixels, and the image has ${image.widthPx} x ${image.heightPx}: ` +
        "give a mask of the size of the image",
      "INPUT_REJECTED",
    );
  } else if (coversNothing(mask, invertMask)) {
    const [colour, other] = invertMask ? ["white", "black"] : ["black", "white"];
    problems.add(
      "spec.inpaint.mask",
      `is ${colour} everywhere, so that nothing would be drawn: make ${other} what is to be drawn` +
        (mask.hasTransparency ? "; what is transparent in a mask does not count" : ""),
      "INPUT_REJECTED",
    );
  }
}

function coversNothing({ redRange: [least, most] }: InputImage, invertMask: boolean): boolean {
  return invertMask ? least === 255 : most === 0;
}
