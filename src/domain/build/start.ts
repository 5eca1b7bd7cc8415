import type { InpaintMethod, ResolvedInpaint, ResolvedOutpaint, ResolvedPicture } from "../generation.ts";
import { modelFamilies } from "../resolve/model-families.ts";
import type { PixelSize } from "../resolve/resolve-inputs.ts";
import type { Conditions, GraphBuilder, Link, ModelLinks } from "./graph-builder.ts";
import type { InputFiles } from "./input-files.ts";
import { imageToMask, scaleImage, scaleMask } from "./scaling.ts";

/** What a sampler starts from. */
export interface Start {
  readonly latent: Link;
  /** As they were, unless the start is a condition too. */
  readonly conditions: Conditions;
  /** What is put back over the picture where `mask` does not cover it. */
  readonly keep?: { readonly image: Link; readonly mask: Link };
}

/** The latent that a picture starts from, and what of an image is kept. */
export function buildStart(
  builder: GraphBuilder,
  files: InputFiles,
  picture: ResolvedPicture,
  { vae }: ModelLinks,
  conditions: Conditions,
): Start {
  const { start } = picture;
  switch (start?.type) {
    case "imageToImage": {
      const { image, resize } = start;
      const pixels = scaleImage(builder, files.loadImage(image), { from: image, to: picture, resize });
      return { latent: encode(builder, pixels, vae), conditions };
    }
    case "inpaint":
      return buildInpaint(builder, files, start, picture, { vae, conditions });
    case "outpaint":
      return buildOutpaint(builder, files, start, picture, { vae, conditions });
    case undefined:
      return { latent: [emptyLatent(builder, picture), 0], conditions };
  }
}

function emptyLatent(builder: GraphBuilder, { widthPx, heightPx, modelFiles }: ResolvedPicture): string {
  const classType =
    modelFiles === undefined ? "EmptyLatentImage" : modelFamilies[modelFiles.family].latentClass;
  return builder.add("5", classType, "Empty latent", { width: widthPx, height: heightPx, batch_size: 1 });
}

interface Surroundings {
  readonly vae: Link;
  readonly conditions: Conditions;
}

function buildInpaint(
  builder: GraphBuilder,
  files: InputFiles,
  start: ResolvedInpaint,
  size: PixelSize,
  surroundings: Surroundings,
): Start {
  const { image, resize, method, keepUnmasked } = start;
  const scaling = { from: image, to: size, resize };
  const pixels = scaleImage(builder, files.loadImage(image), scaling);
  const mask = buildMask(builder, files, start, scaling);
  const { latent, conditions } = encodeMasked(builder, method, pixels, mask, surroundings);
  return { latent, conditions, ...(keepUnmasked && { keep: { image: pixels, mask } }) };
}

function buildMask(
  builder: GraphBuilder,
  files: InputFiles,
  { image, mask, invertMask, growPx, featherPx }: ResolvedInpaint,
  scaling: Parameters<typeof scaleMask>[2],
): Link {
  let link = mask === undefined ? files.loadTransparency(image) : files.loadMask(mask);
  if (invertMask) {
    link = [builder.share("InvertMask", "Invert mask", { mask: link }), 0];
  }
  link = scaleMask(builder, link, scaling);
  if (growPx > 0) {
    link = [builder.share("GrowMask", "Grow mask", { mask: link, expand: growPx, tapered_corners: true }), 0];
  }
  return featherPx > 0 ? feather(builder, link, featherPx) : link;
}

/** ComfyUI's own `FeatherMask` fades the edges of the picture, not those of what is masked in it. */
function feather(builder: GraphBuilder, mask: Link, featherPx: number): Link {
  const image = builder.share("MaskToImage", "Mask to image", { mask });
  const blurred = builder.share("ImageBlur", "Feather mask", {
    image: [image, 0],
    blur_radius: featherPx,
    sigma: Math.min(10, featherPx / 2),
  });
  return imageToMask(builder, [blurred, 0]);
}

function buildOutpaint(
  builder: GraphBuilder,
  files: InputFiles,
  { image, leftPx, topPx, rightPx, bottomPx, featherPx, method, keepOriginal }: ResolvedOutpaint,
  size: PixelSize,
  surroundings: Surroundings,
): Start {
  const padded = builder.share("ImagePadForOutpaint", "Pad image", {
    image: files.loadImage(image),
    left: leftPx,
    top: topPx,
    right: rightPx + size.widthPx - (image.widthPx + leftPx + rightPx),
    bottom: bottomPx + size.heightPx - (image.heightPx + topPx + bottomPx),
    feathering: featherPx,
  });
  const [pixels, mask]: [Link, Link] = [
    [padded, 0],
    [padded, 1],
  ];
  const { latent, conditions } = encodeMasked(builder, method, pixels, mask, surroundings);
  return { latent, conditions, ...(keepOriginal && { keep: { image: pixels, mask } }) };
}

function encodeMasked(
  builder: GraphBuilder,
  method: InpaintMethod,
  pixels: Link,
  mask: Link,
  { vae, conditions }: Surroundings,
): Pick<Start, "latent" | "conditions"> {
  switch (method) {
    case "soft": {
      const samples = encode(builder, pixels, vae);
      return { latent: [builder.share("SetLatentNoiseMask", "Set mask", { samples, mask }), 0], conditions };
    }
    case "hard": {
      // The mask has been grown before, so that what is put back at the end knows of it.
      const inputs = { pixels, vae, mask, grow_mask_by: 0 };
      return { latent: [builder.share("VAEEncodeForInpaint", "Encode image", inputs), 0], conditions };
    }
    case "model": {
      const id = builder.share("InpaintModelConditioning", "Tell of image and mask", {
        ...conditions,
        vae,
        pixels,
        mask,
        noise_mask: true,
      });
      return { latent: [id, 2], conditions: { positive: [id, 0], negative: [id, 1] } };
    }
  }
}

function encode(builder: GraphBuilder, pixels: Link, vae: Link): Link {
  return [builder.share("VAEEncode", "Encode image", { pixels, vae }), 0];
}
