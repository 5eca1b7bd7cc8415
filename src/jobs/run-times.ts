import { shapeOfGraph } from "../domain/graph-shape.ts";
import type { JobRecord } from "../domain/job-record.ts";

/**
 * How long backends take for graphs of a shape, learned from the jobs that this process has seen end, since it started.
 * What was learned longest ago is forgotten first.
 */
export class RunTimes {
  readonly #averages = new Map<string, number>();

  /** Takes in how long a job ran, if it succeeded and did not take its images from another. */
  learn({ result, plan }: JobRecord): void {
    if (result === undefined || result.reusedJobId !== undefined) {
      return;
    }
    const key = keyOf(shapeOfGraph(plan.graph), result.backend.name);
    const { executionMs } = result.timings;
    const before = this.#averages.get(key);
    this.#averages.delete(key); // so that it is the newest
    this.#averages.set(
      key,
      before === undefined ? executionMs : before + (executionMs - before) * newestShare,
    );
    const [oldest] = this.#averages.keys();
    if (this.#averages.size > mostShapes && oldest !== undefined) {
      this.#averages.delete(oldest);
    }
  }

  /** Milliseconds that `backend` will need for a graph of `shape`; `undefined` if it was not seen to run one. */
  estimateMs(shape: string, backend: string): number | undefined {
    return this.#averages.get(keyOf(shape, backend));
  }
}

function keyOf(shape: string, backend: string): string {
  return `${shape} ${backend}`;
}

/** The last run counts that much: a backend that has loaded its models is soon believed to be faster. */
const newestShare = 0.5;

const mostShapes = 2_000;
