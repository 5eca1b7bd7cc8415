import type { GenerationSpec } from "../../gen/comfyrpc/v1/generation_pb.js";
import type { Image } from "../../gen/comfyrpc/v1/image_pb.js";
import type { Output } from "../../gen/comfyrpc/v1/output_pb.js";
import type { AssetClient } from "./asset-client.ts";
import { assetFileName } from "./assets/asset-file-name.ts";
import { downloadAsset } from "./assets/download-asset.ts";
import type { GivenNames } from "./given-names.ts";
import { type FileName, fileNameFor, type OutputTarget, splitName } from "./output-target.ts";
import { PendingFile } from "./pending-file.ts";
import type { ResumePolicy } from "./resumed.ts";

/** Where to save the images of jobs. */
export interface Saving {
  readonly target: OutputTarget;
  readonly overwrite: boolean;
  /** Shared by all that one command saves. */
  readonly names: GivenNames;
}

/** Fetches the images and outputs of one job by their ids, and saves each once. */
export class ImageSaver {
  readonly #client: AssetClient;
  readonly #saving: Saving;
  readonly #spec: Pick<GenerationSpec, "prompt" | "imageCount">;
  readonly #policy: ResumePolicy;
  readonly #paths = new Map<number, string>();
  readonly #outputPaths = new Map<number, string>();

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

  /** Paths of the images that are saved, in the order of their index, then those of the outputs. */
  get paths(): readonly string[] {
    return [this.#paths, this.#outputPaths].flatMap((paths) =>
      [...paths].sort(([a], [b]) => a - b).map(([, path]) => path),
    );
  }

  /**
   * Saves `image` unless that was done before. Goes on by itself after the connection was lost.
   *
   * @throws DeliveryError if the bytes are not those that were announced
   */
  async save(image: Image, signal: AbortSignal): Promise<void> {
    if (this.#paths.has(image.index)) return;
    const { prompt, imageCount = 1 } = this.#spec;
    const name = fileNameFor(this.#saving.target, image, prompt, imageCount);
    this.#paths.set(image.index, await this.#download(image.assetId, name, signal));
  }

  /** The same for an output, which goes beside the images under the name that the workflow gave it. */
  async saveOutput(output: Output, signal: AbortSignal): Promise<void> {
    if (this.#outputPaths.has(output.index)) return;
    const name = splitName(assetFileName(output));
    this.#outputPaths.set(output.index, await this.#download(output.assetId, name, signal));
  }

  async #download(assetId: string, name: FileName, signal: AbortSignal): Promise<string> {
    const { target, overwrite, names } = this.#saving;
    await using file = await PendingFile.create(target.directory);
    await downloadAsset(this.#client, assetId, (bytes) => file.write(bytes), this.#policy, signal);
    return await file.commit(overwrite ? names.give(name) : name, overwrite);
  }
}
