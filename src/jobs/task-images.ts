import type { StartSpec, Task } from "../domain/generation.ts";
import type { ImageSource, InputImage } from "../domain/input-image.ts";

/** Finds, stores and looks at the images that jobs read. */
export interface InputImages {
  /**
   * @param field path of the field that gives the image, for errors
   * @throws ServiceError `INPUT_REJECTED`, `INPUT_UNREACHABLE`, `ASSET_NOT_FOUND`, `ASSET_TOO_LARGE` or `INVALID_FIELD`,
   * with the field as a violation
   */
  resolve(source: ImageSource, field: string, tenant: string, signal: AbortSignal): Promise<InputImage>;
}

/**
 * The same, but each image is looked for once, however many of the specs of one call name it: those of a grid have theirs
 * in common, and what is at a URL must be the same picture for all of them. Meant for one call, of one tenant.
 */
export function lookingOnce(inputImages: InputImages): InputImages {
  const found = new Map<string | Uint8Array, InputImage>();
  return {
    async resolve(source, field, tenant, signal) {
      const key = keyOf(source);
      const known = found.get(key);
      if (known !== undefined) {
        return known;
      }
      const image = await inputImages.resolve(source, field, tenant, signal);
      found.set(key, image);
      return image;
    },
  };
}

/** Bytes are told apart by where they are in memory, as comparing them is what should not be done again and again. */
function keyOf(source: ImageSource): string | Uint8Array {
  switch (source.type) {
    case "asset":
      return `asset ${source.assetId}`;
    case "data":
      return source.data;
    case "url":
      return `url ${source.url}`;
  }
}

type LookUp = (source: ImageSource, field: string) => Promise<InputImage>;

/** The same task, each of its images looked at, one after the other. */
export async function withImages(task: Task<ImageSource>, lookUp: LookUp): Promise<Task<InputImage>> {
  switch (task.type) {
    case "picture": {
      const { start, controlNets, ...rest } = task;
      const looked = start && (await startWithImages(start, lookUp));
      const nets = [];
      for (const [i, net] of controlNets.entries()) {
        nets.push({ ...net, image: await lookUp(net.image, `spec.control_nets[${i}].image`) });
      }
      return { ...rest, ...(looked && { start: looked }), controlNets: nets };
    }
    case "upscale":
      return { ...task, image: await lookUp(task.image, "spec.upscale.image") };
    case "workflow": {
      const images: [input: string, image: InputImage][] = [];
      for (const [input, source] of Object.entries(task.images)) {
        images.push([input, await lookUp(source, `spec.workflow.images[${JSON.stringify(input)}]`)]);
      }
      return { ...task, images: Object.fromEntries(images) };
    }
    case "template":
      return task;
  }
}

async function startWithImages(
  start: StartSpec<ImageSource>,
  lookUp: LookUp,
): Promise<StartSpec<InputImage>> {
  switch (start.type) {
    case "imageToImage":
      return { ...start, image: await lookUp(start.image, "spec.image_to_image.image") };
    case "inpaint": {
      const { mask, ...rest } = start;
      const image = await lookUp(start.image, "spec.inpaint.image");
      return { ...rest, image, ...(mask && { mask: await lookUp(mask, "spec.inpaint.mask") }) };
    }
    case "outpaint":
      return { ...start, image: await lookUp(start.image, "spec.outpaint.image") };
  }
}
