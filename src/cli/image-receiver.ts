import { createHash, type Hash } from "node:crypto";
import type { Image } from "../../gen/comfyrpc/v1/image_pb.js";
import type { ImageChunk, ImageProduced, JobEvent } from "../../gen/comfyrpc/v1/job_event_pb.js";
import { DeliveryError } from "./delivery-error.ts";
import type { GivenNames } from "./given-names.ts";
import { fileNameFor, type OutputTarget } from "./output-target.ts";
import { PendingFile } from "./pending-file.ts";

/** Where and how to save the images of a job. */
export interface ImageReceiverOptions {
  readonly target: OutputTarget;
  readonly prompt: string;
  readonly imageCount: number;
  readonly overwrite: boolean;
  /** Shared by all that one command saves. */
  readonly names: GivenNames;
}

/**
 * Saves the images of a job as their events come, in one message or in chunks, which go straight to the disk. An image
 * gets its name once its size and SHA-256 are right. Disposing removes what is not whole.
 */
export class ImageReceiver implements AsyncDisposable {
  readonly #options: ImageReceiverOptions;
  readonly #paths: string[] = [];
  #incoming: IncomingImage | undefined;

  constructor(options: ImageReceiverOptions) {
    this.#options = options;
  }

  /** Paths of the images that are whole, in the order in which they came. */
  get paths(): readonly string[] {
    return this.#paths;
  }

  /**
   * Takes what belongs to an image out of `event`.
   *
   * @throws DeliveryError if bytes are missing, too many, or not those that were announced
   */
  async accept({ event }: JobEvent): Promise<void> {
    if (event.case === "imageChunk") return this.#append(event.value);
    if (this.#incoming) throw this.#incoming.incomplete();
    if (event.case === "image") await this.#begin(event.value);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#incoming?.file[Symbol.asyncDispose]();
    this.#incoming = undefined;
  }

  async #begin({ image, chunked }: ImageProduced): Promise<void> {
    if (!image) throw new DeliveryError("the service announced an image without saying which");
    this.#incoming = new IncomingImage(image, await PendingFile.create(this.#options.target.directory));
    if (chunked && image.sizeBytes > 0n) return;
    await this.#incoming.write(image.data);
    await this.#finish(this.#incoming);
  }

  async #append({ imageIndex, offset, data }: ImageChunk): Promise<void> {
    const incoming = this.#incoming;
    if (incoming?.image.index !== imageIndex || incoming.receivedBytes !== offset) {
      throw new DeliveryError(`image ${imageIndex + 1}: a part came out of order`);
    }
    await incoming.write(data);
    if (incoming.receivedBytes >= incoming.image.sizeBytes) await this.#finish(incoming);
  }

  async #finish(incoming: IncomingImage): Promise<void> {
    incoming.assertWhole();
    const { target, prompt, imageCount, overwrite, names } = this.#options;
    const name = fileNameFor(target, incoming.image, prompt, imageCount);
    this.#paths.push(await incoming.file.commit(overwrite ? names.give(name) : name, overwrite));
    this.#incoming = undefined;
  }
}

class IncomingImage {
  readonly image: Image;
  readonly file: PendingFile;
  receivedBytes = 0n;
  readonly #hash: Hash = createHash("sha256");

  constructor(image: Image, file: PendingFile) {
    this.image = image;
    this.file = file;
  }

  async write(data: Uint8Array): Promise<void> {
    this.#hash.update(data);
    this.receivedBytes += BigInt(data.byteLength);
    await this.file.write(data);
  }

  assertWhole(): void {
    if (this.receivedBytes !== this.image.sizeBytes) throw this.incomplete();
    if (this.#hash.digest("hex") !== this.image.sha256) {
      throw new DeliveryError(`image ${this.image.index + 1} arrived damaged: its SHA-256 is another`);
    }
  }

  incomplete(): DeliveryError {
    const { index, sizeBytes } = this.image;
    return new DeliveryError(
      `image ${index + 1} arrived damaged: ${this.receivedBytes} bytes of ${sizeBytes} bytes`,
    );
  }
}
