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
      const images: Record<string, InputImage> = {};
      for (const [input, source] of Object.entries(task.images)) {
        images[input] = await lookUp(source, `spec.workflow.images[${JSON.stringify(input)}]`);
      }
      return { ...task, images };
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
