import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { create, fromBinary, toBinary, toJson } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  GenerateWithProgressRequestSchema,
  GenerateWithProgressResponseSchema,
} from "../../gen/comfyrpc/v1/image_service_pb.js";
import { startDemoEngine } from "../../src/engine/demo/demo-engine.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { type EngineTap, startEngineTap } from "../support/engine-tap.ts";
import { envelope, envelopesIn } from "../support/envelopes.ts";
import { connectHttp2 } from "../support/http2-client.ts";
import { openGrpcJs } from "../support/image-clients/grpc-js.ts";
import { untilJobs } from "../support/job-counts.ts";
import { expectOrderedEvents, imagesIn, kindOf } from "../support/job-stream.ts";
import { type JobEvent, parseGenerateResponse, parseJobEvent } from "../support/service-messages.ts";
import { type ServiceProcess, startServiceProcess } from "../support/service-process.ts";

const imageCount = 4;
const steps = 40;
/** So much that it shows in the memory of the process if previews are kept: more than 300 MB a job. */
const previewPaddingBytes = 2 * 1024 * 1024;
const path = "/comfyrpc.v1.ImageService/GenerateWithProgress";

/** Memory is read where Linux tells it. */
describe.skipIf(process.platform !== "linux")("a client that stops reading", () => {
  it.each([
    ["HTTP/2", openHttp2Reader],
    ["HTTP/1.1", openHttp1Reader],
  ])("costs no memory, holds nobody up, and loses previews and progress alone: over %s", async (_, open) => {
    await using stage = await startStage();
    await using other = await openGrpcJs(stage.service.url);
    const draw = () => other.generate({ prompt: "a", widthPx: 64, heightPx: 64, steps: 1 }, {}, soon());
    await draw(); // whatever memory is taken by the first call, the next ones do not need it again
    const bytesBefore = await residentBytes(stage.service.pid);

    await using reader = await open(stage.service.url);
    const events = await readUntil(reader.events, "started");
    expect(parseGenerateResponse(await draw()).images).toHaveLength(1);
    await untilJobs(stage.service.url, {});
    const growthBytes = (await residentBytes(stage.service.pid)) - bytesBefore;
    const previews = previewsOf(stage.tap);
    expect(previews.length).toBeGreaterThan((imageCount * steps) / 2);
    expect(growthBytes).toBeLessThan((previews.length * previewPaddingBytes) / 2);

    for await (const event of reader.events) events.push(event);
    expect(await reader.status).toBe("0");
    expectOrderedEvents(events);
    expect(count(events, "preview")).toBeLessThan(previews.length / 4);
    const started = events.find((event) => event.started)?.started ?? expect.fail("not started");
    expect(count(events, "nodeStarted")).toBe(started.nodeCount - started.cachedNodeCount);
    expect(imagesIn(events)).toHaveLength(imageCount);
    const newest = events.findLast(({ progress }) => progress)?.progress;
    // Of the last image: what comes while the end of the job is being written is told no more.
    expect(newest?.fraction).toBeGreaterThan(1 - 1 / imageCount);
  });
});

/** A service in a process of its own, and the tap between it and its engine. */
interface Stage extends AsyncDisposable {
  readonly service: ServiceProcess;
  readonly tap: EngineTap;
}

async function startStage(): Promise<Stage> {
  await using opened = new AsyncDisposableStack();
  const logger = createLogger({ level: "silent" });
  const engine = opened.use(await startDemoEngine({ stepMs: 2, logger }));
  const tap = opened.use(await startEngineTap(engine.url, { previewPaddingBytes }));
  const service = opened.use(await startServiceProcess({ COMFYUI_URL: tap.url }));
  const owned = opened.move();
  return { service, tap, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

function previewsOf({ entries }: EngineTap) {
  return entries.filter(({ type }) => type === "preview");
}

/** A raw stream of events. They come only as fast as they are asked for. */
interface Reader extends AsyncDisposable {
  readonly events: AsyncGenerator<JobEvent>;
  /** The `grpc-status` at the end of the stream. */
  readonly status: Promise<string>;
}

const request = envelope(
  toBinary(
    GenerateWithProgressRequestSchema,
    create(GenerateWithProgressRequestSchema, {
      spec: { prompt: "a mill", widthPx: 64, heightPx: 64, steps, imageCount, preview: {} },
    }),
  ),
);

/** gRPC over an HTTP/2 connection with small windows. */
async function openHttp2Reader(url: string): Promise<Reader> {
  const session = await connectHttp2(url, { settings: { initialWindowSize: 16_384 } });
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc+proto",
    te: "trailers",
  });
  stream.end(request);
  const trailers = once(stream, "trailers");
  return {
    events: eventsIn(stream, () => {}),
    status: trailers.then(([headers]) => String(headers["grpc-status"])),
    [Symbol.asyncDispose]: async () => session.destroy(),
  };
}

/** gRPC-Web over an HTTP/1.1 connection of its own. */
async function openHttp1Reader(url: string): Promise<Reader> {
  const agent = new Agent();
  const call = httpRequest(url + path, {
    method: "POST",
    headers: { "content-type": "application/grpc-web+proto" },
    agent,
  });
  call.end(request);
  const [response] = (await once(call, "response")) as [IncomingMessage];
  const { promise: status, resolve } = Promise.withResolvers<string>();
  return {
    events: eventsIn(response, (trailers) => resolve(/grpc-status: ?(\d+)/.exec(trailers)?.[1] ?? "none")),
    status,
    async [Symbol.asyncDispose]() {
      call.destroy();
      agent.destroy();
    },
  };
}

/** Flag of the message of gRPC-Web that holds the trailers. */
const trailersFlag = 0x80;

async function* eventsIn(
  bytes: AsyncIterable<Buffer>,
  onTrailers: (trailers: string) => void,
): AsyncGenerator<JobEvent> {
  for await (const { flags, data } of envelopesIn(bytes)) {
    if (flags === trailersFlag) onTrailers(data.toString("latin1"));
    else {
      yield parseJobEvent(
        toJson(GenerateWithProgressResponseSchema, fromBinary(GenerateWithProgressResponseSchema, data)),
      );
    }
  }
}

/** Reads up to the first event of a kind, and not on. */
async function readUntil(
  events: AsyncGenerator<JobEvent>,
  kind: ReturnType<typeof kindOf>,
): Promise<JobEvent[]> {
  const read: JobEvent[] = [];
  for (;;) {
    const { value, done } = await events.next();
    if (done) throw new Error(`the stream ended without ${kind}`);
    read.push(value);
    if (kindOf(value) === kind) return read;
  }
}

/** The node that was the last to sample, by the events of the engine, in the prompt of the slow reader. */
function count(events: readonly JobEvent[], kind: ReturnType<typeof kindOf>): number {
  return events.filter((event) => kindOf(event) === kind).length;
}

async function residentBytes(pid: number): Promise<number> {
  const kibibytes = /^VmRSS:\s*(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kibibytes) * 1024;
}

function soon(): AbortSignal {
  return AbortSignal.timeout(25_000);
}
