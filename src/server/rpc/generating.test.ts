import { setTimeout as pause } from "node:timers/promises";
import { type CallOptions, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { describe, expect, it } from "vitest";
import type { GenerationSpec as SpecMessage } from "../../../gen/comfyrpc/v1/generation_pb.js";
import { ImageService } from "../../../gen/comfyrpc/v1/image_service_pb.js";
import { buildFailure, buildImage, buildResult } from "../../../test/contract/job-store/job-builders.ts";
import { buildGeneration } from "../../../test/support/generations.ts";
import { failureOf } from "../../../test/support/rpc-failure.ts";
import type { GenerationSpec } from "../../domain/generation.ts";
import type { ImageInfo } from "../../domain/image.ts";
import type { JobEventData } from "../../domain/job-event.ts";
import type { SubmitOptions } from "../../jobs/submit-options.ts";
import {
  buildRecord,
  eventsOf,
  type JobServer,
  jobId,
  serveJobs,
  streamOf,
  untilAborted,
} from "../testing/serve-jobs.ts";

function connect({ url }: JobServer) {
  return createClient(ImageService, createGrpcTransport({ baseUrl: url }));
}

const output = { format: "png", inlineLimitBytes: 1_000, metadata: "keep", aiMark: false } as const;
const record = buildRecord({ generation: buildGeneration({ output }) });

/** Images with bytes in the store of `server`, of these sizes. */
function addImages(server: JobServer, ...sizesBytes: readonly number[]): ImageInfo[] {
  return sizesBytes.map((sizeBytes, i) => ({
    ...buildImage(i),
    sizeBytes,
    sha256: server.blobs.add(Buffer.alloc(sizeBytes, `image ${i} `)),
  }));
}

const call: CallOptions = { headers: { "x-request-id": "call-1" } };

/** Both methods, as far as they do the same. */
const methods = {
  generate: (server: JobServer, init: { spec: Partial<SpecMessage>; requestId?: string }, options = call) =>
    connect(server).generate({ ...init, spec: strip(init.spec) }, options),
  generateWithProgress: (
    server: JobServer,
    init: { spec: Partial<SpecMessage>; requestId?: string },
    options = call,
  ) => Array.fromAsync(connect(server).generateWithProgress({ ...init, spec: strip(init.spec) }, options)),
};

function strip({ prompt = "fox", detach = false }: Partial<SpecMessage>) {
  return { prompt, detach, preview: {} };
}

describe.each(Object.entries(methods))("%s", (name, run) => {
  it("makes a job that can be repeated and tied to", async () => {
    let heard: { spec: GenerationSpec; options: SubmitOptions; after: bigint } | undefined;
    await using server = await serveJobs({
      generate: async (spec, options) => {
        heard = { spec, options, after: -1n };
        return record;
      },
      follow: (_, after) => {
        if (heard) heard.after = after;
        return streamOf(eventsOf([{ type: "completed", result: buildResult(0) }], after + 1n));
      },
    });
    await run(server, { spec: {}, requestId: "order-17" });
    expect(heard?.options).toMatchObject({ labels: {}, note: "", request: { id: "order-17" } });
    expect(heard?.after).toBe(name === "generate" ? record.lastSequence : 0n);
    expect(heard?.spec.preview).toEqual(name === "generate" ? undefined : {});
  });

  it("fails as the job did, with the ids of job and call", async () => {
    await using server = await serveJobs({
      generate: async () => record,
      follow: () =>
        streamOf(eventsOf([{ type: "failed", state: "failed", failure: buildFailure("NODE_FAILED") }])),
    });
    const failure = await failureOf(run(server, { spec: {} }));
    expect(failure).toMatchObject({
      code: "FailedPrecondition",
      message: "because of NODE_FAILED",
      reason: "NODE_FAILED",
      metadata: { name: "x", job_id: jobId, request_id: "call-1" },
      fields: ["spec.steps"],
      nodes: [expect.objectContaining({ nodeId: "3" })],
      retryAfterMs: 1_500,
    });
  });

  it("tells of a fault nothing but where to look", async () => {
    const failure = { ...buildFailure("INTERNAL"), message: "ENOENT /var/secret" };
    await using server = await serveJobs({
      generate: async () => record,
      follow: () => streamOf(eventsOf([{ type: "failed", state: "failed", failure }])),
    });
    const seen = await failureOf(run(server, { spec: {} }));
    expect(seen).toMatchObject({ reason: "INTERNAL", metadata: { job_id: jobId, request_id: "call-1" } });
    expect(seen.everything).not.toContain("secret");
  });

  it.each([
    [{ spec: {} }, "the work on the backend is being stopped"],
    [{ spec: {}, requestId: "r" }, "is being stopped, unless the request is repeated in a moment"],
    [{ spec: { detach: true } }, "the job goes on"],
  ] as const)("says what becomes of the job when the caller has gone: %j", async (request, text) => {
    const calling = new AbortController();
    const ended = Promise.withResolvers<unknown>();
    await using server = await serveJobs({
      generate: async () => record,
      async *follow(_, __, signal) {
        yield* eventsOf([{ type: "queued", jobsAhead: 0, attempt: 1 }]);
        calling.abort();
        await untilAborted(signal);
        ended.resolve(signal.reason);
        throw signal.reason;
      },
    });
    await expect(run(server, request, { ...call, signal: calling.signal })).rejects.toThrow();
    expect(await ended.promise).toMatchObject({
      reason: "CANCELLED_BY_CALLER",
      message: expect.stringContaining(text),
    });
  });
});

describe("Generate", () => {
  it("gives the images in one message", async () => {
    const happened: JobEventData[] = [];
    await using server = await serveJobs({
      generate: async () => record,
      follow: () => streamOf(eventsOf(happened, 3n)),
    });
    const images = addImages(server, 400, 600);
    happened.push({ type: "queued", jobsAhead: 0, attempt: 2 });
    happened.push({ type: "completed", result: buildResult(0, { images }) });
    const response = await connect(server).generate({ spec: { prompt: "fox" } });
    expect(response.images.map(({ assetId, data }) => [assetId, Buffer.from(data).toString()])).toEqual(
      images.map(({ sha256, sizeBytes, index }) => [
        sha256,
        Buffer.alloc(sizeBytes, `image ${index} `).toString(),
      ]),
    );
    expect(response.result).toMatchObject({ jobId, images: [{ data: new Uint8Array() }, {}] });
  });

  it("names the job whose images are too large for one message", async () => {
    const happened: JobEventData[] = [];
    await using server = await serveJobs({
      generate: async () => record,
      follow: () => streamOf(eventsOf(happened)),
    });
    happened.push({ type: "completed", result: buildResult(0, { images: addImages(server, 400, 601) }) });
    expect(await failureOf(connect(server).generate({ spec: { prompt: "fox" } }))).toMatchObject({
      code: "ResourceExhausted",
      reason: "RESPONSE_TOO_LARGE",
      metadata: { size_bytes: "1001", limit_bytes: "1000", job_id: jobId },
    });
    expect(server.blobs.readBytes).toBe(0);
  });

  it("answers from a job that has ended without watching it", async () => {
    const ended: Partial<typeof record>[] = [
      { state: "succeeded", result: buildResult(0) },
      { state: "expired", endTime: new Date(), failure: buildFailure("JOB_TIMEOUT") },
    ];
    await using server = await serveJobs({ generate: async () => ({ ...record, ...ended.shift() }) });
    const client = connect(server);
    expect((await client.generate({ spec: { prompt: "fox" } })).result?.jobId).toBe(jobId);
    expect(await failureOf(client.generate({ spec: { prompt: "fox" } }))).toMatchObject({
      code: "DeadlineExceeded",
      reason: "JOB_TIMEOUT",
    });
  });

  it("waits on although the job is being cancelled", async () => {
    const failure = buildFailure("CANCELLED_BY_REQUEST");
    await using server = await serveJobs({
      generate: async () => ({ ...record, state: "cancelling", failure }),
      async *follow() {
        await pause(10);
        yield* eventsOf([{ type: "completed", result: buildResult(0) }]);
      },
    });
    expect((await connect(server).generate({ spec: { prompt: "fox" } })).result?.jobId).toBe(jobId);
  });
});

describe("GenerateWithProgress", () => {
  it("streams every event, images with their data", async () => {
    const happened: JobEventData[] = [];
    await using server = await serveJobs({
      generate: async () => record,
      follow: () => streamOf(eventsOf(happened)),
    });
    const images = addImages(server, 400, 300_000);
    happened.push({ type: "accepted", generation: record.generation });
    happened.push({ type: "queued", jobsAhead: 0, attempt: 1 });
    happened.push(...images.map((image) => ({ type: "image", image }) as const));
    happened.push({ type: "completed", result: buildResult(0, { images }) });
    const responses = await Array.fromAsync(
      connect(server).generateWithProgress({ spec: { prompt: "fox" } }),
    );
    expect(responses.map(({ event }) => event?.event.case)).toEqual([
      "accepted",
      "queued",
      "image",
      "image",
      "imageChunk",
      "imageChunk",
      "completed",
    ]);
    expect(responses.every(({ event }) => event?.jobId === jobId)).toBe(true);
  });
});
