import type { Logger } from "../../telemetry/logger.ts";
import { NoAnswerError } from "./client.ts";
import { noBackend } from "./failures.ts";
import { SingleFlight } from "./single-flight.ts";

export interface RememberedDependencies {
  readonly logger: Logger;
  /** Aborted when nothing may be waited for any more. */
  readonly lifetime: AbortSignal;
  /** A clock that only goes forward, in milliseconds. */
  readonly nowMs: () => number;
}

/** Something that a server says of itself, read once for all who ask, and served from memory while it is young enough. */
export class Remembered<Value> {
  readonly #what: string;
  readonly #read: () => Promise<Value>;
  readonly #deps: RememberedDependencies;
  /** Of one server: a new one for each, so that what is read late from another one is not remembered. */
  #flight = new SingleFlight<"reading", Value>();
  #memory: { readonly value: Value; readonly readMs: number } | undefined;

  /**
   * @param what it is, for the log
   * @param read asks the server; throws {@link NoAnswerError} if that cannot be reached
   */
  constructor(what: string, read: () => Promise<Value>, deps: RememberedDependencies) {
    this.#what = what;
    this.#read = read;
    this.#deps = deps;
  }

  /**
   * A copy younger than `maxAgeMs` at once, read again in the background if half of that time has passed; else a new one,
   * or, while the server does not answer, an old one.
   *
   * @throws ServiceError `NO_BACKEND` if the server cannot be reached and nothing is remembered
   */
  async get(maxAgeMs: number, signal: AbortSignal): Promise<Value> {
    const memory = this.#memory;
    const ageMs = memory === undefined ? Number.POSITIVE_INFINITY : this.#deps.nowMs() - memory.readMs;
    if (memory !== undefined && ageMs < maxAgeMs) {
      if (ageMs > maxAgeMs / 2) {
        this.refresh();
      }
      return memory.value;
    }
    try {
      return await this.#join(signal);
    } catch (error) {
      if (!(error instanceof NoAnswerError)) {
        throw error;
      }
      if (memory === undefined) {
        throw noBackend(error);
      }
      this.#deps.logger.warn({ err: error, what: this.#what }, "serving an old copy of what the backend has");
      return memory.value;
    }
  }

  /** Whether anything is remembered. */
  get isKnown(): boolean {
    return this.#memory !== undefined;
  }

  /** To be called when the server may be another one: what is being read now is not remembered. */
  reset(): void {
    this.#flight = new SingleFlight();
  }

  /** Reads it while nobody waits for it. */
  refresh(): void {
    const { lifetime, logger } = this.#deps;
    this.#join(lifetime).catch((error: unknown) => {
      logger.debug({ err: error, what: this.#what }, "not read in the background");
    });
  }

  #join(signal: AbortSignal): Promise<Value> {
    const flight = this.#flight;
    const work = async () => {
      const value = await this.#read();
      if (flight === this.#flight) {
        this.#memory = { value, readMs: this.#deps.nowMs() };
      }
      return value;
    };
    return flight.run("reading", work, signal);
  }
}
