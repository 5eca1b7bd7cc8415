import { readFile } from "node:fs/promises";
import { setInterval } from "node:timers/promises";

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

/** To two decimals, for people. */
export function round(value: number): number {
  return Math.round(value * 100) / 100;
}

let lastSeed = 0n;

/** A seed that has not been used in this run: the engine would answer from its cache. */
export function nextSeed(): bigint {
  lastSeed += 1n;
  return lastSeed;
}

/** Runs `work` and tells how much memory a process took meanwhile, in bytes; Linux only, else not a number. */
export async function withPeakMemory<T>(pid: number, work: () => Promise<T>) {
  const beforeBytes = await residentBytes(pid);
  let peakBytes = beforeBytes;
  const done = new AbortController();
  const sampling = (async () => {
    for await (const _ of setInterval(20, undefined, { signal: done.signal })) {
      peakBytes = Math.max(peakBytes, await residentBytes(pid));
    }
  })().catch((error: unknown) => {
    if (!done.signal.aborted) {
      throw error;
    }
  });
  try {
    const value = await work();
    return { value, beforeBytes, peakBytes };
  } finally {
    done.abort();
    await sampling;
  }
}

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1_024;
}
