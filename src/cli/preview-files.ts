import type { JobEvent } from "../../gen/comfyrpc/v1/job_event_pb.js";
import { extensionOf } from "./image-format.ts";
import { PendingFile } from "./pending-file.ts";
import { promptSlug } from "./prompt-slug.ts";

/** Saves the previews of a job, named by prompt, seed and the order in which they came. */
export class PreviewFiles {
  readonly #directory: string;
  readonly #paths: string[] = [];
  #stem = "preview";
  #seed: bigint;

  /** @param seed of the job, where its first event may not come by */
  constructor(directory: string, prompt: string, seed = 0n) {
    this.#directory = directory;
    this.#stem = promptSlug(prompt);
    this.#seed = seed;
  }

  /** Paths of the previews that are saved. */
  get paths(): readonly string[] {
    return this.#paths;
  }

  async accept({ event }: JobEvent): Promise<void> {
    if (event.case === "accepted") this.#seed = event.value.resolvedSpec?.seed ?? this.#seed;
    if (event.case !== "preview") return;
    const { data, format, imageIndex } = event.value;
    const seed = BigInt.asUintN(64, this.#seed + BigInt(imageIndex));
    const number = String(this.#paths.length + 1).padStart(3, "0");
    await using file = await PendingFile.create(this.#directory);
    await file.write(data);
    const name = { stem: `${this.#stem}-${seed}-preview-${number}`, extension: extensionOf(format) };
    this.#paths.push(await file.commit(name, false));
  }
}
