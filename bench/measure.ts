/** Something whose calls are measured. */
export interface BenchCall {
  /** Draws one small picture with `seed` and returns the number of its bytes. */
  call(seed: bigint): Promise<number>;
}

/** Milliseconds that each of `count` calls took, one after the other. */
export async function latencies(client: BenchCall, count: number, nextSeed: () => bigint): Promise<number[]> {
  const taken: number[] = [];
  for (let i = 0; i < count; i++) {
    const startMs = performance.now();
    await client.call(nextSeed());
    taken.push(performance.now() - startMs);
  }
  return taken;
}

/** Calls a second with `concurrency` of them under way at once, over `count` calls. */
export async function throughput(
  client: BenchCall,
  count: number,
  concurrency: number,
  nextSeed: () => bigint,
): Promise<number> {
  let left = count;
  const startMs = performance.now();
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      while (left-- > 0) {
        await client.call(nextSeed());
      }
    }),
  );
  return (count * 1_000) / (performance.now() - startMs);
}

/** The value below which `share` (0 to 1) of `values` lie. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}
