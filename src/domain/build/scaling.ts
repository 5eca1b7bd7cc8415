import type { Resize } from "../generation.ts";
import type { PixelSize } from "../resolve/resolve-inputs.ts";
import type { GraphBuilder, Link } from "./graph-builder.ts";

/** How ComfyUI calls each way to bring an image to other proportions. */
export const cropOf: Readonly<Record<Resize, "center" | "disabled">> = {
  crop: "center",
  stretch: "disabled",
};

/** An image of size `from`, brought to the size `to` if it does not have it. */
export function scaleImage(
  builder: GraphBuilder,
  image: Link,
  { from, to, resize }: { readonly from: PixelSize; readonly to: PixelSize; readonly resize: Resize },
): Link {
  return sameSize(from, to) ? image : [scaleTo(builder, image, to, resize, "lanczos"), 0];
}

/** As {@link scaleImage}, for a mask, which ComfyUI scales as an image only. */
export function scaleMask(
  builder: GraphBuilder,
  mask: Link,
  { from, to, resize }: { readonly from: PixelSize; readonly to: PixelSize; readonly resize: Resize },
): Link {
  if (sameSize(from, to)) {
    return mask;
  }
  const image = builder.share("MaskToImage", "Mask to image", { mask });
  return imageToMask(builder, [scaleTo(builder, [image, 0], to, resize, "bilinear"), 0]);
}

/** The mask that a grey image is. */
export function imageToMask(builder: GraphBuilder, image: Link): Link {
  return [builder.share("ImageToMask", "Image to mask", { image, channel: "red" }), 0];
}

function scaleTo(
  builder: GraphBuilder,
  image: Link,
  { widthPx, heightPx }: PixelSize,
  resize: Resize,
  method: string,
): string {
  return builder.share("ImageScale", "Scale to size", {
    image,
    upscale_method: method,
    width: widthPx,
    height: heightPx,
    crop: cropOf[resize],
  });
}

function sameSize(a: PixelSize, b: PixelSize): boolean {
  return a.widthPx === b.widthPx && a.heightPx === b.heightPx;
}
