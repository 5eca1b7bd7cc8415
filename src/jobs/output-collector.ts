import { ServiceError } from "../domain/errors.ts";
import type { PlannedImage } from "../domain/generation-plan.ts";
import type { ImageInfo } from "../domain/image.ts";
import type { OutputInfo, OutputPlace } from "../domain/output.ts";
import type { Output, OutputFile } from "../engine/engine.ts";
import {
  type FetchDependencies,
  type FetchedOutput,
  fetchOutput,
  type WantedOutput,
} from "./fetch-output.ts";
import type { JobRun } from "./job-run.ts";

/** All that a job has left. */
export interface Collected {
  /** In the order of their index. */
  readonly images: readonly ImageInfo[];
  readonly outputs: readonly OutputInfo[];
}

type FileOutput = Extract<Output, { kind: "file" }>;

/**
 * Fetches what a graph leaves, as soon as it is there, and tells of each when it is kept. What an earlier attempt, or
 * another process, has fetched before is not fetched again.
 *
 * Planned images are fetched at once. Of a plan that keeps everything, the rest follows one by one, in the order in which
 * it came, so that numbers are given in that order and little is held at once: files that nodes have saved, and at the
 * end texts, which cannot be told from each other before the whole list is there. Previews, which nodes show in passing
 * (`temp`), are the outcome only of a graph that saves nothing. What it only has read (`input`) never is.
 */
export class OutputCollector {
  readonly #run: JobRun;
  readonly #deps: FetchDependencies;
  readonly #signal: AbortSignal;
  readonly #planned = new Map<number, Promise<FetchedOutput>>();
  readonly #found: Promise<FetchedOutput>[] = [];
  /** Files that are being fetched because they were found. */
  readonly #foundFiles = new Set<string>();
  /** What of the found was fetched before this run of the graph was looked at. */
  readonly #placesBefore: ReadonlySet<string>;
  readonly #livePlaces = new PlaceCounter();
  #nextImageIndex: number;
  #nextOutputIndex: number;
  #last: Promise<unknown> = Promise.resolve();

  constructor(run: JobRun, deps: FetchDependencies, signal: AbortSignal) {
    this.#run = run;
    this.#deps = deps;
    this.#signal = signal;
    const { plan, images, outputs } = run.record;
    this.#placesBefore = new Set(
      [...images, ...outputs].flatMap(({ nodeId, place }) => (place ? [placeName(nodeId, place)] : [])),
    );
    this.#nextImageIndex = Math.max(plan.images.length, ...images.map(({ index }) => index + 1));
    this.#nextOutputIndex = Math.max(0, ...outputs.map(({ index }) => index + 1));
  }

  /** A node has left something, while others still run. */
  offer(output: Output): void {
    this.#fetchPlanned([output]);
    if (output.kind === "file" && this.#keepsEverything) {
      const place = this.#livePlaces.next(output);
      if (output.file.type === "output" && !this.#isPlanned(output, [output])) {
        this.#fetchFound(output, place);
      }
    }
  }

  /**
   * The graph has ended and left all of this.
   *
   * @throws ServiceError `NO_OUTPUT` if something is missing, or there is nothing at all; what fetching throws
   */
  async collect(outputs: readonly Output[]): Promise<Collected> {
    this.#fetchPlanned(outputs);
    if (this.#keepsEverything) {
      this.#fetchAllFound(outputs);
    }
    const fetched = await Promise.all([...this.#planned.values(), ...this.#found]);
    const { record } = this.#run;
    const collected = {
      images: byIndex(
        record.images,
        fetched.flatMap((one) => (one.type === "image" ? [one.image] : [])),
      ),
      outputs: byIndex(
        record.outputs,
        fetched.flatMap((one) => (one.type === "output" ? [one.output] : [])),
      ),
    };
    this.#assertAllThere(collected);
    return collected;
  }

  /** Resolves when nothing is under way any more. */
  async settle(): Promise<void> {
    await Promise.allSettled([...this.#planned.values(), ...this.#found]);
  }

  get #keepsEverything(): boolean {
    return this.#run.record.plan.keeps === "everything";
  }

  #fetchPlanned(outputs: readonly Output[]): void {
    const { plan, images } = this.#run.record;
    for (const [index, image] of plan.images.entries()) {
      const source = plannedFile(image, outputs);
      if (source === undefined || this.#planned.has(index) || images.some((one) => one.index === index)) {
        continue;
      }
      const { seed, saveNodeId: nodeId } = image;
      this.#planned.set(
        index,
        this.#fetch({
          nodeId,
          source,
          imageIndex: index,
          outputIndex: 0,
          ...(seed !== undefined && { seed }),
        }),
      );
    }
  }

  #fetchAllFound(outputs: readonly Output[]): void {
    const places = new PlaceCounter();
    const placed = outputs.map((output) => ({ output, place: places.next(output) }));
    const isSaved = ({ output }: { readonly output: Output }) =>
      output.kind === "file" && output.file.type === "output";
    const fileType = placed.some(isSaved) ? "output" : "temp";
    for (const { output, place } of placed) {
      const isWanted = output.kind === "text" ? output.text !== "" : output.file.type === fileType;
      if (isWanted && !this.#isPlanned(output, outputs)) {
        this.#fetchFound(output, place);
      }
    }
  }

  #fetchFound(output: Output, place: OutputPlace): void {
    if (this.#placesBefore.has(placeName(output.nodeId, place))) {
      return;
    }
    if (output.kind === "file") {
      const name = fileName(output.file);
      if (this.#foundFiles.has(name)) {
        return;
      }
      this.#foundFiles.add(name);
    }
    this.#assertNotTooMany(output);
    const { seeds = {} } = this.#run.record.plan;
    const seed = Object.hasOwn(seeds, output.nodeId) ? seeds[output.nodeId] : undefined;
    const fetched = this.#last.then(async () => {
      const one = await this.#fetch({
        nodeId: output.nodeId,
        source: output,
        place,
        ...(seed !== undefined && { seed }),
        imageIndex: this.#nextImageIndex,
        outputIndex: this.#nextOutputIndex,
      });
      if (one.type === "image") {
        this.#nextImageIndex += 1;
      } else {
        this.#nextOutputIndex += 1;
      }
      return one;
    });
    fetched.catch(() => {}); // awaited in `collect`; until then its failure must not count as unhandled
    this.#last = fetched;
    this.#found.push(fetched);
  }

  #fetch(
    wanted: Omit<WantedOutput, "tenant" | "jobId" | "classType" | "generation" | "plan">,
  ): Promise<FetchedOutput> {
    const { tenant, id: jobId, generation, plan } = this.#run.record;
    const classType = plan.graph[wanted.nodeId]?.class_type ?? "";
    const fetched = fetchOutput(
      this.#deps,
      { ...wanted, tenant, jobId, classType, generation, plan },
      this.#signal,
    ).then((one) => {
      this.#run.write(one).catch(() => {}); // the run has been left by that
      return one;
    });
    fetched.catch(() => {}); // as in `#fetchFound`
    return fetched;
  }

  #isPlanned(output: Output, outputs: readonly Output[]): boolean {
    return this.#run.record.plan.images.some((image) => plannedFile(image, outputs) === output);
  }

  /** @throws ServiceError `OUTPUT_TOO_LARGE` */
  #assertNotTooMany({ nodeId }: Output): void {
    if (this.#placesBefore.size + this.#found.length >= maxFound) {
      throw new ServiceError(
        "OUTPUT_TOO_LARGE",
        `the workflow leaves more than ${maxFound} files and texts, which is the most that is kept of a job`,
        { metadata: { node_id: nodeId, limit: `${maxFound}` } },
      );
    }
  }

  #assertAllThere({ images, outputs }: Collected): void {
    const { plan } = this.#run.record;
    if (plan.images.some((_, index) => images[index]?.index !== index)) {
      throw new ServiceError(
        "NO_OUTPUT",
        "the workflow ended well but left fewer images than were asked for",
      );
    }
    if (images.length + outputs.length === 0) {
      throw new ServiceError(
        "NO_OUTPUT",
        "the workflow ended well but left nothing to keep; end it with a node that saves something",
      );
    }
  }
}

/** The record of a job, which names all of them, is read and written as a whole. */
const maxFound = 1_000;

/** Says of each output how many of the same list came before it. */
class PlaceCounter {
  readonly #counts = new Map<string, number>();

  next({ nodeId, key }: Output): OutputPlace {
    const list = JSON.stringify([nodeId, key]);
    const position = this.#counts.get(list) ?? 0;
    this.#counts.set(list, position + 1);
    return { key, position };
  }
}

/** The file that a planned image was saved to, if the node saved one. */
function plannedFile(image: PlannedImage, outputs: readonly Output[]): FileOutput | undefined {
  return outputs.find(
    (output): output is FileOutput =>
      output.kind === "file" && output.nodeId === image.saveNodeId && output.key === "images",
  );
}

function placeName(nodeId: string, { key, position }: OutputPlace): string {
  return JSON.stringify([nodeId, key, position]);
}

function fileName({ type, subfolder, filename }: OutputFile): string {
  return JSON.stringify([type, subfolder, filename]);
}

function byIndex<T extends { readonly index: number }>(kept: readonly T[], fetched: readonly T[]): T[] {
  const all = new Map([...kept, ...fetched].map((one) => [one.index, one]));
  return [...all.values()].sort((a, b) => a.index - b.index);
}
