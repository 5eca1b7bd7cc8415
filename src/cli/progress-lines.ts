import type { JobEvent } from "../../gen/comfyrpc/v1/job_event_pb.js";
import type { Clock } from "../lib/clock.ts";
import { formatProgress } from "./format-progress.ts";
import type { CliIo } from "./io.ts";
import { initialState, lostState, nextState, type ProgressState } from "./progress-state.ts";
import type { ProgressView, ProgressViewOptions } from "./progress-view.ts";

/** Shortest time between two lines about the same phase, in milliseconds. */
const quietTimeMs = 5_000;

/** Whole lines, for logs: one for each change of the queue and of the backend, and now and then one while it works. */
export class ProgressLines implements ProgressView {
  readonly #io: CliIo;
  readonly #clock: Clock;
  readonly #startMs: number;
  #lastLineMs: number;
  #state: ProgressState;

  constructor({ io, clock, serverName }: ProgressViewOptions) {
    this.#io = io;
    this.#clock = clock;
    this.#startMs = clock.monotonicMs();
    this.#lastLineMs = this.#startMs;
    this.#state = initialState(serverName);
  }

  show(event: JobEvent): void {
    const nowMs = this.#clock.monotonicMs();
    const before = this.#state;
    this.#state = nextState(before, event, nowMs);
    const isNews = isPhase(event) && this.#state.activity !== before.activity;
    const isDue = this.#state !== before && nowMs - this.#lastLineMs >= quietTimeMs;
    if (isNews || isDue) this.#print(this.#state, nowMs);
  }

  showLost(): void {
    this.#print(lostState(this.#state), this.#clock.monotonicMs());
  }

  [Symbol.dispose](): void {}

  #print(state: ProgressState, nowMs: number): void {
    this.#lastLineMs = nowMs;
    const line = formatProgress(state, "", lineLength, this.#startMs, nowMs);
    this.#io.stderr.write(`${line.trimStart()}\n`);
  }
}

const lineLength = 200;

function isPhase({ event }: JobEvent): boolean {
  return event.case === "queued" || event.case === "started";
}
