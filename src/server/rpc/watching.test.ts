import { once } from "node:events";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { describe, expect, it } from "vitest";
import type { JobEvent as EventMessage } from "../../../gen/comfyrpc/v1/job_event_pb.js";
import { JobService } from "../../../gen/comfyrpc/v1/job_service_pb.js";
import { JobState } from "../../../gen/comfyrpc/v1/job_state_pb.js";
import { buildFailure, buildImage, buildResult } from "../../../test/contract/job-store/job-builders.ts";
import { envelope } from "../../../test/support/envelopes.ts";
import { buildGeneration } from "../../../test/support/generations.ts";
import { connectGrpcJs } from "../../../test/support/grpc-js-client.ts";
import { connectHttp2 } from "../../../test/support/http2-client.ts";
import { failureOf } from "../../../test/support/rpc-failure.ts";
import { waitUntil } from "../../../test/support/wait-until.ts";
import { ServiceError } from "../../domain/errors.ts";
import type { ImageInfo } from "../../domain/image.ts";
import type { JobEventData } from "../../domain/job-event.ts";
import {
  buildRecord,
  eventsOf,
  type JobServer,
  jobId,
  serveJobs,
  streamOf,
  untilAborted,
} from "../testing/serve-jobs.ts";

const batchId = "6a1d2a3c-0000-4000-8000-000000000001";
const otherId = "6a1d2a3c-0000-4000-8000-000000000002";
const inlineLimitBytes = 1_000;
const record = buildRecord({
  generation: buildGeneration({
    output: { format: "png", inlineLimitBytes, metadata: "keep", aiMark: false },
  }),
});

function connect({ url }: JobServer) {
  return createClient(JobService, createGrpcTransport({ baseUrl: url }));
}

/** An image with bytes of its own in the store of `server`. */
function addImage(server: JobServer, index: number, sizeBytes: number): ImageInfo {
  const sha256 = server.blobs.add(Buffer.alloc(sizeBytes, `image ${index} `));
  return { ...buildImage(index), sizeBytes, sha256 };
}

async function eventsIn(
  responses: AsyncIterable<{ readonly event?: EventMessage | undefined }>,
): Promise<EventMessage[]> {
  return (await Array.fromAsync(responses)).flatMap(({ event }) => event ?? []);
}

const kindsIn = (events: readonly EventMessage[]) =>
  events.map(({ sequence, event }) => [sequence, event.case]);

describe("WatchJob", () => {
  it("tells what happens, the place in the queue as queued", async () => {
    const happened: JobEventData[] = [
      { type: "accepted", generation: record.generation },
      { type: "queued", jobsAhead: 2, attempt: 1 },
      { type: "place", jobsAhead: 1, attempt: 1 },
      {
        type: "started",
        backend: { name: "gpu-1", comfyUiVersion: "0.3", builtIn: false },
        attempt: 1,
        nodeCount: 7,
        cachedNodeCount: 2,
      },
      { type: "nodeStarted", nodeId: "3", classType: "KSampler", title: "Sample" },
      { type: "progress", nodeId: "3", step: 1, steps: 2, fraction: 0.5, elapsedMs: 10, remainingMs: 20 },
      {
        type: "preview",
        nodeId: "3",
        imageIndex: 0,
        step: 1,
        format: "jpeg",
        widthPx: 8,
        heightPx: 8,
        data: Buffer.from("preview"),
      },
      { type: "image", image: buildImage(0) },
      { type: "completed", result: buildResult() },
    ];
    let heard: unknown[] = [];
    await using server = await serveJobs({
      watch: (...args) => {
        heard = args.slice(0, 3);
        return streamOf(eventsOf(happened));
      },
    });
    const events = await eventsIn(
      connect(server).watchJob(
        { jobId, afterSequence: 2n ** 63n },
        { headers: { "x-request-id": "call-1" } },
      ),
    );
    expect(heard).toEqual([jobId, 2n ** 63n, { tenant: "", requestId: "call-1" }]);
    expect(kindsIn(events)).toEqual([
      [1n, "accepted"],
      [2n, "queued"],
      [2n, "queued"],
      [3n, "started"],
      [4n, "nodeStarted"],
      [4n, "progress"],
      [4n, "preview"],
      [5n, "image"],
      [6n, "completed"],
    ]);
    expect(events[2]?.event.value).toMatchObject({ jobsAhead: 1, attempt: 1 });
    const image = events[7]?.event.case === "image" ? events[7].event.value : undefined;
    expect(image).toMatchObject({
      chunked: false,
      image: { assetId: buildImage(0).sha256, data: new Uint8Array() },
    });
  });

  it("ends well although the job did not, and says how and why", async () => {
    const failure = buildFailure("CANCELLED_BY_REQUEST");
    await using server = await serveJobs({
      watch: () =>
        streamOf(
          eventsOf(
            [
              { type: "cancelling", failure },
              { type: "failed", state: "cancelled", failure },
            ],
            7n,
          ),
        ),
    });
    const [cancelling, failed] = await eventsIn(connect(server).watchJob({ jobId, afterSequence: 6n }));
    const status = { message: "because of CANCELLED_BY_REQUEST", details: { length: 4 } };
    expect(cancelling).toMatchObject({
      sequence: 7n,
      event: { case: "cancelling", value: { reason: status } },
    });
    expect(failed).toMatchObject({
      sequence: 8n,
      event: { case: "failed", value: { state: JobState.CANCELLED, error: status } },
    });
  });

  it("tells it in JSON too, with the details of the failure", async () => {
    const failure = buildFailure("OUT_OF_MEMORY");
    await using server = await serveJobs({
      watch: () => streamOf(eventsOf([{ type: "failed", state: "failed", failure }])),
    });
    const response = await fetch(`${server.url}/comfyrpc.v1.JobService/WatchJob`, {
      method: "POST",
      headers: { "content-type": "application/connect+json" },
      body: new Uint8Array(envelope(Buffer.from(JSON.stringify({ jobId })))),
    });
    const text = await response.text();
    expect(text).toContain('"@type":"type.googleapis.com/google.rpc.ErrorInfo"');
    expect(text).toContain('"reason":"OUT_OF_MEMORY"');
  });

  it("brings images if so wanted: inside, or in chunks above the limit of the job", async () => {
    const happened: JobEventData[] = [];
    await using server = await serveJobs({
      get: async () => record,
      watch: () => streamOf(eventsOf(happened)),
    });
    const [small, large] = [addImage(server, 0, inlineLimitBytes), addImage(server, 1, 600_000)];
    happened.push({ type: "image", image: small }, { type: "image", image: large });
    const events = await eventsIn(connect(server).watchJob({ jobId, imageData: true }));
    expect(kindsIn(events)).toEqual([
      [1n, "image"],
      [2n, "image"],
      [2n, "imageChunk"],
      [2n, "imageChunk"],
      [2n, "imageChunk"],
    ]);
    const chunks = events.flatMap(({ event }) => (event.case === "imageChunk" ? event.value : []));
    expect(chunks.map(({ imageIndex, offset }) => [imageIndex, offset])).toEqual([
      [1, 0n],
      [1, 261_120n],
      [1, 522_240n],
    ]);
    expect(Buffer.concat(chunks.map(({ data }) => data))).toEqual(Buffer.alloc(600_000, "image 1 "));
    const images = events.flatMap(({ event }) => (event.case === "image" ? event.value : []));
    expect(images.map(({ image, chunked }) => [image?.data.length, chunked])).toEqual([
      [inlineLimitBytes, false],
      [0, true],
    ]);
    expect(server.blobs.openReads).toBe(0);
  });

  it("is understood by grpc-js", async () => {
    const happened: JobEventData[] = [];
    await using server = await serveJobs({
      get: async () => record,
      watch: () => streamOf(eventsOf(happened)),
    });
    happened.push({ type: "image", image: addImage(server, 0, 600_000) });
    using client = await connectGrpcJs(server.address, "comfyrpc/v1/job_service.proto");
    const request = { jobId, imageData: true };
    const events = await Array.fromAsync(client.stream("/comfyrpc.v1.JobService/WatchJob", request));
    expect(events).toHaveLength(4);
    expect(events[3]).toMatchObject({ event: { jobId, imageChunk: { imageIndex: 0 } } });
  });

  it("says that the job is gone if it is removed while its image is read", async () => {
    let gone = false;
    await using server = await serveJobs({
      get: async () => {
        if (gone) throw new ServiceError("JOB_NOT_FOUND", "no such job");
        gone = true;
        return record;
      },
      watch: () => streamOf(eventsOf([{ type: "image", image: buildImage(0) }])),
    });
    expect(await failureOf(eventsIn(connect(server).watchJob({ jobId, imageData: true })))).toMatchObject({
      code: "NotFound",
      reason: "JOB_NOT_FOUND",
    });
  });

  it("calls it a fault of the service if only the image is gone", async () => {
    await using server = await serveJobs({
      get: async () => record,
      watch: () => streamOf(eventsOf([{ type: "image", image: buildImage(0) }])),
    });
    const failure = await failureOf(eventsIn(connect(server).watchJob({ jobId, imageData: true })));
    expect(failure).toMatchObject({ code: "Internal", reason: "INTERNAL" });
  });

  it.each(["JOB_NOT_FOUND", "OFFSET_OUT_OF_RANGE"] as const)("fails with %s", async (reason) => {
    await using server = await serveJobs({
      // biome-ignore lint/correctness/useYield: it fails before it could
      async *watch() {
        throw new ServiceError(reason, "m");
      },
    });
    expect(await failureOf(eventsIn(connect(server).watchJob({ jobId })))).toMatchObject({ reason });
  });

  it("reads no more of an image than a slow reader takes, and stops when the reader leaves", async () => {
    const happened: JobEventData[] = [];
    const left = Promise.withResolvers<void>();
    await using server = await serveJobs({
      get: async () => record,
      async *watch() {
        try {
          yield* eventsOf(happened);
        } finally {
          left.resolve();
        }
      },
    });
    happened.push({ type: "image", image: addImage(server, 0, 16 * 1024 * 1024) });
    using session = await connectHttp2(server.url);
    const stream = session.request({
      ":method": "POST",
      ":path": "/comfyrpc.v1.JobService/WatchJob",
      "content-type": "application/connect+json",
    });
    stream.on("error", () => {});
    stream.end(envelope(Buffer.from(JSON.stringify({ jobId, imageData: true }))));
    await once(stream, "response"); // and nothing is read from it
    await waitUntil(async () => {
      const before = server.blobs.readBytes;
      await new Promise((resolve) => setTimeout(resolve, 50));
      return before > 0 && before === server.blobs.readBytes;
    }, "nothing more is read");
    expect(server.blobs.readBytes).toBeLessThan(2 * 1024 * 1024);
    expect(server.blobs.openReads).toBe(1);
    stream.close();
    await left.promise;
    expect(server.blobs.openReads).toBe(0);
  });

  it("ends the watch when the caller cancels it while nothing happens", async () => {
    const left = Promise.withResolvers<unknown>();
    await using server = await serveJobs({
      async *watch(_, __, ___, signal) {
        yield* eventsOf([{ type: "queued", jobsAhead: 0, attempt: 1 }]);
        await untilAborted(signal);
        left.resolve(signal.reason);
        throw signal.reason;
      },
    });
    const calling = new AbortController();
    const events = connect(server).watchJob({ jobId }, { signal: calling.signal })[Symbol.asyncIterator]();
    await events.next();
    calling.abort();
    await expect(events.next()).rejects.toThrow();
    expect(await left.promise).toMatchObject({
      reason: "CANCELLED_BY_CALLER",
      message: "the call was cancelled",
    });
  });
});

describe("WatchBatch", () => {
  it("tells what happens to each job, and begins after what has been seen of it", async () => {
    let heard: unknown[] = [];
    const other = { ...record, id: otherId };
    const happened: JobEventData[] = [];
    await using server = await serveJobs({
      watchBatch: (...args) => {
        heard = args.slice(0, 2);
        const events = eventsOf(happened);
        return streamOf(events.flatMap((event) => [record, other].map((job) => ({ job, event }))));
      },
    });
    happened.push({ type: "image", image: addImage(server, 0, 300_000) });
    happened.push({ type: "failed", state: "expired", failure: buildFailure("JOB_TIMEOUT") });
    const client = createClient(
      JobService,
      createConnectTransport({ baseUrl: server.url, httpVersion: "1.1" }),
    );
    const afterSequences = { [jobId.toUpperCase()]: 3n, [otherId]: 4n };
    const request = { batchId: batchId.toUpperCase(), afterSequences };
    const without = await eventsIn(client.watchBatch(request));
    expect(heard).toEqual([
      batchId,
      new Map([
        [jobId, 3n],
        [otherId, 4n],
      ]),
    ]);
    expect(without.map(({ jobId, event }) => [jobId, event.case])).toEqual([
      [jobId, "image"],
      [otherId, "image"],
      [jobId, "failed"],
      [otherId, "failed"],
    ]);
    expect(server.blobs.readBytes).toBe(0);
    const withData = await eventsIn(client.watchBatch({ ...request, imageData: true }));
    expect(withData.map(({ jobId, event }) => [jobId, event.case])).toEqual([
      [jobId, "image"],
      [jobId, "imageChunk"],
      [jobId, "imageChunk"],
      [otherId, "image"],
      [otherId, "imageChunk"],
      [otherId, "imageChunk"],
      [jobId, "failed"],
      [otherId, "failed"],
    ]);
  });
});
