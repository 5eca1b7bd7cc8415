/**
 * Shares work between callers that ask for the same thing at the same time. A caller whose signal is aborted leaves;
 * the work goes on for the others.
 */
export class SingleFlight<Key, Value> {
  readonly #inFlight = new Map<Key, Promise<Value>>();

  /** Joins the work for `key`, or begins it. Throws the reason of `signal` once that is aborted. */
  async run(key: Key, work: () => Promise<Value>, signal: AbortSignal): Promise<Value> {
    signal.throwIfAborted();
    let flight = this.#inFlight.get(key);
    if (flight === undefined) {
      flight = work().finally(() => this.#inFlight.delete(key));
      this.#inFlight.set(key, flight);
    }
    return await unlessAborted(flight, signal);
  }
}

async function unlessAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  const { promise: outcome, resolve, reject } = Promise.withResolvers<Value>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  promise.then(resolve, reject);
  try {
    return await outcome;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
