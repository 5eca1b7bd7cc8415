import type { GenerationSpec } from "../../gen/comfyrpc/v1/generation_pb.js";
import type { Image } from "../../gen/comfyrpc/v1/image_pb.js";
import type { AssetClient } from "./asset-client.ts";
import { downloadAsset } from "./assets/download-asset.ts";
import { fileNameFor, type OutputTarget } from "./output-target.ts";
import { PendingFile } from "./pending-file.ts";
import type { ResumePolicy } from "./resumed.ts";

/** Where to save the images of jobs. */
export interface Saving {
  readonly target: OutputTarget;
  readonly overwrite: boolean;
}

/** Fetches the images of one job by their ids, and saves each once. */
export class ImageSaver {
  readonly #client: AssetClient;
  readonly #saving: Saving;
  readonly #spec: Pick<GenerationSpec, "prompt" | "imageCount">;
  readonly #policy: ResumePolicy;
  readonly #paths = new Map<number, string>();

  /** @param spec of the job, by which the files are named */
  constructor(
    client: AssetClient,
    saving: Saving,
    spec: Pick<GenerationSpec, "prompt" | "imageCount">,
    policy: ResumePolicy,
  ) {
    this.#client = client;
    this.#saving = saving;
    this.#spec = spec;
    this.#policy = policy;
  }

  /** Paths of the images that are saved, in the order of their index. */
  get paths(): readonly string[] {
    return [...this.#paths].sort(([a], [b]) => a - b).map(([, path]) => path);
  }

  /**
   * Saves `image` unless that was done before. Goes on by itself after the connection was lost.
   *
   * @throws DeliveryError if the bytes are not those that were announced
   */
  async save(image: Image, signal: AbortSignal): Promise<void> {
    if (this.#paths.has(image.index)) return;
    const { target, overwrite } = this.#saving;
    const { prompt, imageCount = 1 } = this.#spec;
    await using file = await PendingFile.create(target.directory);
    const { assetId } = image;
    await downloadAsset(this.#client, assetId, (bytes) => file.write(bytes), this.#policy, signal);
    const name = fileNameFor(target, image, prompt, imageCount);
    this.#paths.set(image.index, await file.commit(name, overwrite));
  }
}
