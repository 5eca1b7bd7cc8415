import type { PlannedInput } from "../generation-plan.ts";
import type { InputImage } from "../input-image.ts";
import type { GraphBuilder, Link } from "./graph-builder.ts";

/** The files that a graph reads, each loaded by one node, however often it is used. */
export class InputFiles {
  readonly #builder: GraphBuilder;
  readonly #inputs = new Map<string, PlannedInput>();
  readonly #images = new Map<string, string>();

  constructor(builder: GraphBuilder) {
    this.#builder = builder;
  }

  get planned(): PlannedInput[] {
    return [...this.#inputs.values()];
  }

  /** The pixels of an image. */
  loadImage(image: InputImage): Link {
    return [this.#load(image), 0];
  }

  /** Where an image is transparent, as a mask. */
  loadTransparency(image: InputImage): Link {
    return [this.#load(image), 1];
  }

  /** An image as a mask: white is 1, black is 0. */
  loadMask(image: InputImage): Link {
    this.#note(image);
    const id = this.#builder.share("LoadImageMask", "Load mask", { image: image.fileName, channel: "red" });
    return [id, 0];
  }

  #load(image: InputImage): string {
    this.#note(image);
    const known = this.#images.get(image.fileName);
    if (known !== undefined) {
      return known;
    }
    const id = this.#builder.share("LoadImage", "Load image", { image: image.fileName });
    this.#images.set(image.fileName, id);
    return id;
  }

  #note({ assetId, fileName }: InputImage): void {
    this.#inputs.set(fileName, { assetId, fileName });
  }
}
