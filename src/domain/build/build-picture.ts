import { type ResolvedPicture, seedOfImage } from "../generation.ts";
import type { GenerationPlan, PlannedImage } from "../generation-plan.ts";
import { buildConditions } from "./conditions.ts";
import { buildHires, buildUpscale, UpscaleModels } from "./enlarge.ts";
import { GraphBuilder, type ImagePlace, imagePlaces, type Link } from "./graph-builder.ts";
import { InputFiles } from "./input-files.ts";
import { loadModels } from "./load-models.ts";
import { loadRefiner, sample } from "./sample.ts";
import { buildStart, type Start } from "./start.ts";

/**
 * Builds the graph of a picture: ComfyUI's canonical one for each feature, put together, with a sampler, decoder and
 * saver of its own for each image, so that every image has its own seed and arrives when it is done.
 *
 * `filePrefix` begins the name of every file the graph saves; one that no other job has keeps ComfyUI from answering with
 * the files of an earlier run.
 */
export function buildPicture(picture: ResolvedPicture, filePrefix: string): GenerationPlan {
  const builder = new GraphBuilder();
  const files = new InputFiles(builder);
  const upscalers = new UpscaleModels(builder);
  const models = loadModels(builder, picture);
  const prompts = buildConditions(builder, files, picture, models);
  const start = buildStart(builder, files, picture, models, prompts);
  const refiner = loadRefiner(builder, picture);
  const { hires, upscale } = picture;

  const images = imagePlaces(picture.imageCount).map((place): PlannedImage => {
    const seed = seedOfImage(picture.seed, place.index);
    const first = sample(builder, place, picture, seed, models, start, refiner);
    const sampled =
      hires === undefined
        ? first
        : buildHires(builder, place, { ...picture, hires }, seed, models, prompts, first, upscalers);
    const decoded = builder.add(`${100 * place.index + 8}`, "VAEDecode", `Decode image${place.label}`, {
      samples: sampled.latent,
      vae: sampled.vae,
    });
    const whole = putBack(builder, place, start, [decoded, 0]);
    const enlarged = upscale === undefined ? whole : buildUpscale(builder, place, upscale, whole, upscalers);
    const saved = builder.add(`${100 * place.index + 9}`, "SaveImage", `Save image${place.label}`, {
      images: enlarged,
      filename_prefix: `${filePrefix}_${place.index}`,
    });
    return { seed, samplerNodeIds: sampled.samplerNodeIds, saveNodeId: saved };
  });
  return { graph: builder.graph, inputs: files.planned, images, keeps: "images" };
}

/** Puts back what is kept of an image, pixel by pixel: the model's encoder loses detail also where nothing is drawn. */
function putBack(builder: GraphBuilder, place: ImagePlace, { keep }: Start, drawn: Link): Link {
  if (keep === undefined) {
    return drawn;
  }
  const id = builder.addFor(place, "ImageCompositeMasked", "Put back what is kept", {
    destination: keep.image,
    source: drawn,
    x: 0,
    y: 0,
    resize_source: false,
    mask: keep.mask,
  });
  return [id, 0];
}
