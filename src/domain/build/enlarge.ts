import type { ResolvedHires, ResolvedPicture, ResolvedUpscale } from "../generation.ts";
import { hiresSize } from "../resolve/resolve-picture.ts";
import type { Conditions, GraphBuilder, ImagePlace, Link, ModelLinks } from "./graph-builder.ts";
import type { Sampled } from "./sample.ts";
import { cropOf } from "./scaling.ts";

/** Loads each upscale model once, however many images use it. */
export class UpscaleModels {
  readonly #builder: GraphBuilder;
  readonly #loaders = new Map<string, string>();

  constructor(builder: GraphBuilder) {
    this.#builder = builder;
  }

  load(name: string): Link {
    const known = this.#loaders.get(name);
    if (known !== undefined) {
      return [known, 0];
    }
    const id = this.#builder.share("UpscaleModelLoader", "Load upscale model", { model_name: name });
    this.#loaders.set(name, id);
    return [id, 0];
  }
}

/** Draws an image a second time, larger. */
export function buildHires(
  builder: GraphBuilder,
  place: ImagePlace,
  picture: ResolvedPicture & { readonly hires: ResolvedHires },
  seed: bigint,
  { model, vae }: ModelLinks,
  conditions: Conditions,
  first: Sampled,
  upscalers: UpscaleModels,
): Sampled {
  const { hires } = picture;
  const latent =
    hires.method === "latent"
      ? scaleLatent(builder, place, picture, first.latent)
      : scalePixels(builder, place, picture, first, vae, upscalers);
  const id = builder.addFor(place, "KSampler", "Sample second pass", {
    model,
    ...conditions,
    latent_image: latent,
    seed,
    steps: hires.steps,
    cfg: picture.cfg,
    sampler_name: picture.sampler,
    scheduler: picture.scheduler,
    denoise: hires.denoise,
  });
  return { latent: [id, 0], vae, samplerNodeIds: [...first.samplerNodeIds, id] };
}

function scaleLatent(
  builder: GraphBuilder,
  place: ImagePlace,
  { hires, ...size }: ResolvedPicture & { readonly hires: ResolvedHires },
  samples: Link,
): Link {
  const { widthPx, heightPx } = hiresSize(size, hires);
  const id = builder.addFor(place, "LatentUpscale", "Scale latent", {
    samples,
    upscale_method: hires.scaling,
    width: widthPx,
    height: heightPx,
    crop: "disabled",
  });
  return [id, 0];
}

function scalePixels(
  builder: GraphBuilder,
  place: ImagePlace,
  { hires, ...size }: ResolvedPicture & { readonly hires: ResolvedHires },
  first: Sampled,
  vae: Link,
  upscalers: UpscaleModels,
): Link {
  const decoded = builder.addFor(place, "VAEDecode", "Decode first pass", {
    samples: first.latent,
    vae: first.vae,
  });
  const pixels = buildUpscale(
    builder,
    place,
    {
      ...(hires.upscaleModel !== undefined && { model: hires.upscaleModel }),
      ...hiresSize(size, hires),
      resize: "stretch",
      scaling: hires.scaling,
    },
    [decoded, 0],
    upscalers,
  );
  return [builder.addFor(place, "VAEEncode", "Encode for second pass", { pixels, vae }), 0];
}

/** Enlarges an image by a model, to a size, or by one and then to the other. */
export function buildUpscale(
  builder: GraphBuilder,
  place: ImagePlace,
  { model, widthPx, heightPx, resize, scaling }: ResolvedUpscale,
  image: Link,
  upscalers: UpscaleModels,
): Link {
  let enlarged = image;
  if (model !== undefined) {
    const id = builder.addFor(place, "ImageUpscaleWithModel", "Enlarge by model", {
      upscale_model: upscalers.load(model),
      image: enlarged,
    });
    enlarged = [id, 0];
  }
  if (widthPx !== undefined && heightPx !== undefined) {
    const id = builder.addFor(place, "ImageScale", "Scale to size", {
      image: enlarged,
      upscale_method: scaling,
      width: widthPx,
      height: heightPx,
      crop: cropOf[resize],
    });
    enlarged = [id, 0];
  }
  return enlarged;
}
