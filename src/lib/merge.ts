/**
 * Yields what several sources yield, as it comes, and ends with the last of them. No source is asked for its next value
 * before the one it gave has been taken. Leaving the loop early, or an error of one source, aborts the signal that `open`
 * is given, upon which every source must end, and waits until they have.
 */
export async function* merge<T>(
  open: (stop: AbortSignal) => readonly AsyncIterable<T>[],
): AsyncGenerator<T, void, undefined> {
  const stop = new AbortController();
  const ready: { readonly value: T; taken(): void }[] = [];
  let failure: { readonly error: unknown } | undefined;
  let wake = Promise.withResolvers<void>();

  const sources = open(stop.signal);
  let left = sources.length;
  const pumps = sources.map(async (source) => {
    try {
      for await (const value of source) {
        const { promise, resolve } = Promise.withResolvers<void>();
        ready.push({ value, taken: resolve });
        wake.resolve();
        await promise;
        if (stop.signal.aborted) {
          return;
        }
      }
    } catch (error) {
      failure ??= { error };
    } finally {
      left -= 1;
      wake.resolve();
    }
  });

  try {
    for (;;) {
      const next = ready.shift();
      if (next !== undefined) {
        try {
          yield next.value;
        } finally {
          next.taken(); // also when the loop is left here
        }
      } else if (failure !== undefined) {
        throw failure.error;
      } else if (left === 0) {
        return;
      } else {
        await wake.promise;
        wake = Promise.withResolvers();
      }
    }
  } finally {
    stop.abort();
    for (const { taken } of ready) {
      taken();
    }
    await Promise.all(pumps);
  }
}
