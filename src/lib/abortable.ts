/**
 * Passes on what `source` yields until it ends or `signal` is aborted, and then throws the reason of the abort, even
 * while the source keeps silent. Leaving the loop early ends the source.
 */
export async function* abortable<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  signal.throwIfAborted();
  const items = source[Symbol.asyncIterator]();
  const aborted = Promise.withResolvers<never>();
  aborted.promise.catch(() => {}); // may happen while nobody waits; the next wait finds it
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  let state: "waiting" | "yielded" | "ended" = "waiting";
  try {
    for (;;) {
      state = "waiting";
      const next = await Promise.race([aborted.promise, items.next()]);
      if (next.done) {
        state = "ended";
        return;
      }
      state = "yielded";
      yield next.value;
    }
  } finally {
    signal.removeEventListener("abort", abort);
    if (state === "yielded") {
      await items.return?.();
    } else if (state === "waiting") {
      items.return?.().catch(() => {}); // not waited for: a silent source may never answer
    }
  }
}
