import type { JobEvent } from "../../gen/comfyrpc/v1/job_event_pb.js";
import type { Clock } from "../lib/clock.ts";
import { initialState, lostState, nextState, type ProgressState } from "./progress-state.ts";
import type { ProgressView, ProgressViewOptions } from "./progress-view.ts";
import { StatusLine } from "./status-line.ts";

/** One job in one line of a terminal. */
export class ProgressBar implements ProgressView {
  readonly #clock: Clock;
  readonly #line: StatusLine;
  #state: ProgressState;

  constructor({ io, clock, serverName }: ProgressViewOptions) {
    this.#clock = clock;
    this.#state = initialState(serverName);
    this.#line = new StatusLine(io, clock, this.#state);
  }

  show(event: JobEvent): void {
    this.#state = nextState(this.#state, event, this.#clock.monotonicMs());
    this.#line.set(this.#state);
  }

  showLost(): void {
    this.#line.set(lostState(this.#state));
  }

  [Symbol.dispose](): void {
    this.#line[Symbol.dispose]();
  }
}
