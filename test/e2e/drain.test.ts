import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { type DemoEngine, startDemoEngine } from "../../src/engine/demo/demo-engine.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { askEngine } from "../support/engine-account.ts";
import { watchRuns } from "../support/engine-runs.ts";
import { connectGrpcJs } from "../support/grpc-js-client.ts";
import { openConnectWeb } from "../support/image-clients/connect.ts";
import { openGrpcJs } from "../support/image-clients/grpc-js.ts";
import { failureOf, type ImageClient } from "../support/image-clients/image-client.ts";
import { collectEvents, expectOrderedEvents, imagesIn } from "../support/job-stream.ts";
import { errorInfoIn, type JobEvent, parseGenerateResponse } from "../support/service-messages.ts";
import { type ServiceProcess, startServiceProcess } from "../support/service-process.ts";

/** A service process, and the engine behind it in this one. */
interface Stage extends AsyncDisposable {
  readonly engine: DemoEngine;
  readonly service: ServiceProcess;
}

const spec = { prompt: "a windmill", widthPx: 64, heightPx: 64, steps: 10 };
const soon = () => AbortSignal.timeout(25_000);

describe("a service that gets SIGTERM", () => {
  it("ends what runs as it should, takes nothing new, and exits with 0", async () => {
    await using stage = await startStage();
    await using client = await openGrpcJs(stage.service.url);
    await using webClient = await openConnectWeb(stage.service.url);
    using health = await connectGrpcJs(new URL(stage.service.url).host, "grpc/health/v1/health.proto");
    stage.engine.faults.order({ type: "stall", classType: "KSampler", step: 5 });
    const watched = await watchHealth(health);
    const stream = startStream(client, spec);
    await stream.reached(({ progress }) => progress?.step === 4);
    const webStream = startStream(webClient, spec);
    await webStream.reached(({ queued }) => queued !== undefined);

    stage.service.kill("SIGTERM");
    await stage.service.logged("draining");
    expect(await watched.rest).toEqual(["NOT_SERVING"]);
    expect((await failureOf(client.generate(spec, {}, soon()))).code).toBe("unavailable");
    await using newClient = await openGrpcJs(stage.service.url);
    expect((await failureOf(newClient.generate(spec, {}, soon()))).code).toBe("unavailable");

    stage.engine.faults.clear();
    for (const events of await Promise.all([stream.events, webStream.events])) {
      expectOrderedEvents(events);
      expect(imagesIn(events)).toHaveLength(1);
    }
    expect(await stage.service.exit).toEqual({ exitCode: 0, signal: null });
    await expectNothingHalfDone(stage.service);
  });

  it.each(["0", "1"])("stops what has not ended after %s s, on the engine too", async (seconds) => {
    await using stage = await startStage({ COMFYRPC_DRAIN_SECONDS: seconds });
    const runs = watchRuns(stage.engine);
    await using client = await openGrpcJs(stage.service.url);
    await using webClient = await openConnectWeb(stage.service.url);
    const stream = startStream(client, { ...spec, steps: 150 });
    await stream.reached(({ progress }) => progress !== undefined);
    const others = [
      startStream(webClient, { ...spec, steps: 150, seed: "1" }),
      startStream(client, { ...spec, steps: 150, seed: "2" }),
    ];
    for (const other of others) await other.reached(({ queued }) => queued !== undefined);

    stage.service.kill("SIGTERM");
    for (const { events } of [stream, ...others]) {
      const { code, details } = await failureOf(events);
      expect(code).toBe("unavailable");
      expect(errorInfoIn(details)).toMatchObject({ domain: "comfyrpc", reason: "SHUTTING_DOWN" });
    }
    expect(await stage.service.exit).toEqual({ exitCode: 0, signal: null });
    expect(await askEngine(stage.engine.url)).toMatchObject({ running: [], pending: [] });
    // The second one may have begun before it was stopped.
    for (const id of runs.begun) expect(runs.steps(id)).toBeLessThan(150);
    await expectNothingHalfDone(stage.service);
  });

  it("ends at once when a second one comes", async () => {
    await using stage = await startStage();
    await using client = await openGrpcJs(stage.service.url);
    const stream = startStream(client, { ...spec, steps: 150 });
    await stream.reached(({ progress }) => progress !== undefined);
    stage.service.kill("SIGTERM");
    await stage.service.logged("draining");
    stage.service.kill("SIGTERM");
    expect(await stage.service.exit).toEqual({ exitCode: 130, signal: null });
    await expect(stream.events).rejects.toThrow();
  });

  it("keeps the image that it has drawn, and nothing that it had only begun", async () => {
    await using stage = await startStage();
    await using client = await openGrpcJs(stage.service.url);
    const { images } = parseGenerateResponse(await client.generate(spec, {}, soon()));
    const image = images[0] ?? expect.fail("no image");
    stage.service.kill("SIGINT");
    expect(await stage.service.exit).toEqual({ exitCode: 0, signal: null });
    await expectNothingHalfDone(stage.service);
    const file = join(stage.service.dataDirectory, "blobs", image.sha256.slice(0, 2), image.sha256);
    expect((await readFile(file)).equals(image.data)).toBe(true);
  });
});

async function startStage(env: Readonly<Record<string, string>> = {}): Promise<Stage> {
  await using opened = new AsyncDisposableStack();
  const logger = createLogger({ level: "silent" });
  const engine = opened.use(await startDemoEngine({ stepMs: 40, logger }));
  const service = opened.use(await startServiceProcess({ COMFYUI_URL: engine.url, ...env }));
  const owned = opened.move();
  return { engine, service, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Expects that no file is left of what the service had only begun to store. */
async function expectNothingHalfDone({ dataDirectory }: ServiceProcess): Promise<void> {
  expect(await readdir(join(dataDirectory, "blobs", "staging"))).toEqual([]);
}

interface RunningStream {
  /** All events, once the stream has ended. */
  readonly events: Promise<JobEvent[]>;
  /** Resolves with the first event that `found` says yes to. */
  reached(found: (event: JobEvent) => boolean): Promise<void>;
}

function startStream(client: ImageClient, wanted: object): RunningStream {
  const seen: JobEvent[] = [];
  let look = () => {};
  const messages = client.generateWithProgress({ ...wanted }, {}, soon());
  const events = collectEvents(messages, (event) => {
    seen.push(event);
    look();
  });
  events.catch(() => {}); // awaited by the test
  return {
    events,
    reached(found) {
      return new Promise((resolve, reject) => {
        look = () => {
          if (seen.some(found)) resolve();
        };
        look();
        events.then(() => reject(new Error("the stream ended before that")), reject);
      });
    },
  };
}

const healthStatus = z.object({ status: z.string() });

/** Watches the health of the server; resolves when it serves. `rest` is what comes after that, once the stream has ended. */
async function watchHealth(health: Awaited<ReturnType<typeof connectGrpcJs>>) {
  const statuses = health.stream("/grpc.health.v1.Health/Watch", { service: "" })[Symbol.asyncIterator]();
  const first = await statuses.next();
  expect(first.value).toEqual({ status: "SERVING" });
  async function collect(): Promise<string[]> {
    const rest: string[] = [];
    for (let next = await statuses.next(); !next.done; next = await statuses.next()) {
      rest.push(healthStatus.parse(next.value).status);
    }
    return rest;
  }
  const rest = collect();
  rest.catch(() => {}); // awaited by the test
  return { rest };
}
