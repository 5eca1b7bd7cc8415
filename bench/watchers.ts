import { startEngineProcess, startServiceProcess } from "./child-process.ts";
import { nextSeed, round, withPeakMemory } from "./measure.ts";
import { connect } from "./service-clients.ts";

const connectionCount = 10;
const mebibyte = 1024 * 1024;

/** Events a second to one watcher and to a thousand of the same job, and how much memory the service takes for them. */
export async function benchWatchers(): Promise<void> {
  await using engine = await startEngineProcess(2);
  await using service = await startServiceProcess({ COMFYUI_URL: engine.url });
  const clients = Array.from({ length: connectionCount }, () => connect(service.url));
  const rows: Record<string, object> = {};
  try {
    await watchAll(clients, 1); // warm-up
    for (const watcherCount of [1, 100, 1_000]) {
      const run = () => watchAll(clients, watcherCount);
      const { value, beforeBytes, peakBytes } = await withPeakMemory(service.pid, run);
      rows[`${watcherCount} watchers`] = {
        "events/s": Math.round(value.eventCount / value.seconds),
        "events each": round(value.eventCount / watcherCount),
        "time [s]": round(value.seconds),
        "memory before [MiB]": Math.round(beforeBytes / mebibyte),
        "peak [MiB]": Math.round(peakBytes / mebibyte),
      };
    }
  } finally {
    for (const client of clients) {
      client[Symbol.dispose]();
    }
  }
  console.log(
    "WatchJob of one job: 10 images of 64 x 64, 20 steps of 2 ms; slow readers get the newest progress only",
  );
  console.table(rows);
}

async function watchAll(clients: readonly ReturnType<typeof connect>[], watcherCount: number) {
  const [first] = clients;
  const spec = {
    prompt: "a red fox",
    widthPx: 64,
    heightPx: 64,
    steps: 20,
    imageCount: 10,
    seed: nextSeed() * 100n,
  };
  const { job } = (await first?.jobs.submitJob({ spec })) ?? {};
  const jobId = job?.jobId ?? "";
  const startMs = performance.now();
  const counts = await Promise.all(
    Array.from({ length: watcherCount }, async (_, i) => {
      let count = 0;
      let last: bigint | undefined = 0n;
      for await (const { event } of clients[i % clients.length]?.jobs.watchJob({ jobId }) ?? []) {
        if (event !== undefined && event.sequence !== last && event.sequence !== (last ?? 0n) + 1n) {
          throw new Error("an event is missing");
        }
        last = event?.sequence;
        count += 1;
      }
      return count;
    }),
  );
  const eventCount = counts.reduce((sum, count) => sum + count, 0);
  return { eventCount, seconds: (performance.now() - startMs) / 1_000 };
}
