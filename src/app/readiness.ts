import { type Engine, isUsable } from "../engine/engine.ts";
import type { StoreWatch } from "../jobs/store-watch.ts";
import type { Readiness } from "../server/probes.ts";

/** Whether the service can draw now, and why not. */
export class ReadinessWatch {
  readonly #engines: readonly Engine[];
  readonly #storeWatch: StoreWatch;
  readonly #draining: AbortSignal;

  /** `draining`: aborted when the service begins to shut down. */
  constructor(engines: readonly Engine[], storeWatch: StoreWatch, draining: AbortSignal) {
    this.#engines = engines;
    this.#storeWatch = storeWatch;
    this.#draining = draining;
  }

  current(): Readiness {
    if (this.#draining.aborted) {
      return { ready: false, reason: "shutting down" };
    }
    const { problem } = this.#storeWatch;
    if (problem !== "") {
      return { ready: false, reason: problem };
    }
    const healths = this.#engines.map((engine) => ({ name: engine.name, ...engine.health() }));
    if (healths.some(isUsable)) {
      return { ready: true, reason: "" };
    }
    const reasons = healths.map(({ name, state, reason }) => `${name}: ${reason || state}`);
    return { ready: false, reason: `no backend is up (${reasons.join("; ")})` };
  }

  /** Yields whether the service is ready at once, then on every change, until `signal` is aborted. */
  async *watch(signal: AbortSignal): AsyncGenerator<boolean> {
    let wake = Promise.withResolvers<void>();
    const onChange = () => wake.resolve();
    signal.addEventListener("abort", onChange, { once: true });
    using _ = this.#storeWatch.onChange(onChange);
    const watching = Promise.all(
      this.#engines.map(async (engine) => {
        for await (const _health of engine.watchHealth(signal)) {
          onChange();
        }
      }),
    );
    let last: boolean | undefined;
    while (!signal.aborted) {
      const { ready } = this.current();
      if (ready !== last) {
        last = ready;
        yield ready;
      }
      await wake.promise;
      wake = Promise.withResolvers();
    }
    await watching;
  }

  /** Resolves when the service is ready. */
  async untilReady(signal: AbortSignal): Promise<void> {
    const done = new AbortController();
    for await (const ready of this.watch(AbortSignal.any([signal, done.signal]))) {
      if (ready) {
        done.abort();
      }
    }
    signal.throwIfAborted();
  }
}
