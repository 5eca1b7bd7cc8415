import { GrpcChannel } from "../src/cli/grpc-channel.ts";
import { createImageClient, type ImageClient } from "../src/cli/image-client.ts";
import { parseServerAddress } from "../src/cli/server-address.ts";
import { startEngineProcess, startServiceProcess } from "./child-process.ts";
import { openDirectClient } from "./direct-client.ts";
import { type BenchCall, latencies, median, nextSeed, percentile, round, throughput } from "./measure.ts";

const rounds = 6;
const callsPerRound = 150;
const concurrency = 8;
const streamCount = 4;
const callsPerStream = 5;
const stepsPerCall = 150;

/**
 * What the service adds to a direct client of the same engine, which takes no time for a step. Direct and served rounds
 * alternate, so that a change of the machine's speed meets both.
 */
export async function benchCalls(): Promise<void> {
  await using engine = await startEngineProcess();
  await using service = await startServiceProcess({ COMFYUI_URL: engine.url });
  await using direct = await openDirectClient(engine.url);
  using channel = new GrpcChannel({ address: parseServerAddress(service.url, false) });
  const client = createImageClient(channel);
  const served = servedCall(client);
  const pairs = (): ["direct" | "served", BenchCall][] => [
    ["direct", direct],
    ["served", served],
  ];

  await latencies(direct, 50, nextSeed); // warm-up
  await latencies(served, 50, nextSeed);
  await throughput(served, 200, concurrency, nextSeed);

  const latencyMs: Record<"direct" | "served", number[]> = { direct: [], served: [] };
  const callsPerSecond: Record<"direct" | "served", number[]> = { direct: [], served: [] };
  const streamed: { readonly eventsPerSecond: number; readonly stepsPerSecond: number }[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const [name, target] of round % 2 === 0 ? pairs() : pairs().reverse()) {
      latencyMs[name].push(...(await latencies(target, callsPerRound, nextSeed)));
    }
    for (const [name, target] of round % 2 === 0 ? pairs() : pairs().reverse()) {
      callsPerSecond[name].push(await throughput(target, callsPerRound, concurrency, nextSeed));
    }
    streamed.push(await streamEvents(client));
  }

  const [p50, p99] = [0.5, 0.99].map((share) => ({
    direct: percentile(latencyMs.direct, share),
    served: percentile(latencyMs.served, share),
  }));
  console.log(
    `Generate: 64 x 64, 4 steps, no time for a step; ${rounds} rounds of ${callsPerRound} calls each, direct and served in turn`,
  );
  console.table({
    "latency p50, one caller [ms]": row(p50, "added"),
    "latency p99, one caller [ms]": row(p99, "added"),
    [`throughput, ${concurrency} callers [calls/s]`]: row(
      { direct: median(callsPerSecond.direct), served: median(callsPerSecond.served) },
      "ratio",
    ),
  });
  const events = Math.round(median(streamed.map(({ eventsPerSecond }) => eventsPerSecond)));
  const steps = Math.round(median(streamed.map(({ stepsPerSecond }) => stepsPerSecond)));
  console.log(
    `GenerateWithProgress, ${streamCount} streams of ${stepsPerCall} steps: ${events} events/s delivered; ` +
      `the engine made ${steps} steps/s, of which readers get the newest\n`,
  );
}

const never = new AbortController().signal;

function row(values: { direct: number; served: number } | undefined, third: "added" | "ratio") {
  const { direct: a = Number.NaN, served: b = Number.NaN } = values ?? {};
  return { direct: round(a), served: round(b), [third]: round(third === "added" ? b - a : b / a) };
}

function servedCall(images: ImageClient): BenchCall {
  return {
    async call(seed) {
      const spec = { prompt: "a red fox", widthPx: 64, heightPx: 64, steps: 4, seed };
      const response = await images.generate({ spec }, {}, never);
      return response.images[0]?.data.length ?? 0;
    },
  };
}

async function streamEvents(images: ImageClient) {
  const spec = () => ({
    prompt: "a red fox",
    widthPx: 64,
    heightPx: 64,
    steps: stepsPerCall,
    seed: nextSeed(),
  });
  const startMs = performance.now();
  const counts = await Promise.all(
    Array.from({ length: streamCount }, async () => {
      let count = 0;
      for (let call = 0; call < callsPerStream; call++) {
        for await (const _ of images.generateWithProgress({ spec: spec() }, {}, never)) {
          count++;
        }
      }
      return count;
    }),
  );
  const seconds = (performance.now() - startMs) / 1_000;
  return {
    eventsPerSecond: counts.reduce((sum, count) => sum + count, 0) / seconds,
    stepsPerSecond: (streamCount * callsPerStream * stepsPerCall) / seconds,
  };
}
