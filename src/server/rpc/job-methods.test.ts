import type { MessageInitShape } from "@bufbuild/protobuf";
import { anyUnpack, timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { describe, expect, it } from "vitest";
import {
  type JobFilterSchema,
  JobService,
  type SubmitBatchRequestSchema,
} from "../../../gen/comfyrpc/v1/job_service_pb.js";
import { JobState } from "../../../gen/comfyrpc/v1/job_state_pb.js";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.js";
import {
  at,
  buildFailure,
  buildImage,
  buildResult,
  startTime,
} from "../../../test/contract/job-store/job-builders.ts";
import { failureOf } from "../../../test/support/rpc-failure.ts";
import { ServiceError } from "../../domain/errors.ts";
import type { GenerationSpec } from "../../domain/generation.ts";
import type { JobRecord } from "../../domain/job-record.ts";
import type { Caller } from "../../jobs/caller.ts";
import type { SubmitOptions } from "../../jobs/submit-options.ts";
import type { BatchRecord, JobFilter } from "../../storage/job-store.ts";
import { buildRecord, type JobServer, jobId, serveJobs } from "../testing/serve-jobs.ts";

function connect({ url }: JobServer) {
  return createClient(JobService, createGrpcTransport({ baseUrl: url }));
}

function connectInJson({ url }: JobServer) {
  return createClient(
    JobService,
    createConnectTransport({ baseUrl: url, httpVersion: "1.1", useBinaryFormat: false }),
  );
}

const batchId = "6a1d2a3c-0000-4000-8000-000000000001";

describe("SubmitJob", () => {
  it("passes on what is to be drawn, what is tied to it, and who asks", async () => {
    let heard: { spec: GenerationSpec; options: SubmitOptions; caller: Caller } | undefined;
    await using server = await serveJobs({
      submit: async (spec, options, caller) => {
        heard = { spec, options, caller };
        return buildRecord({ labels: { a: "1" }, note: "n", requestId: "order-17" });
      },
    });
    const { job } = await connect(server).submitJob(
      {
        spec: {
          prompt: "fox",
          seed: 7n,
          detach: true,
          allowReuse: true,
          output: { metadata: 2, aiMark: false },
        },
        requestId: "order-17",
        options: { labels: { a: "1" }, note: "n", retention: { seconds: 90n } },
      },
      { headers: { "x-request-id": "call-1" } },
    );
    expect(heard).toEqual({
      spec: expect.objectContaining({
        task: expect.objectContaining({ type: "picture", prompt: "fox", seed: 7n }),
        detach: true,
        allowReuse: true,
        output: { metadata: "strip", aiMark: false },
      }),
      options: {
        labels: { a: "1" },
        note: "n",
        retentionMs: 90_000,
        request: { id: "order-17", fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/) },
      },
      caller: { tenant: "", requestId: "call-1" },
    });
    expect(job).toMatchObject({
      jobId,
      state: JobState.QUEUED,
      labels: { a: "1" },
      note: "n",
      lastSequence: 2n,
    });
  });

  it("knows a request again whatever the protocol, and by no name if it has none", async () => {
    const heard: SubmitOptions[] = [];
    await using server = await serveJobs({
      submit: async (_, options) => {
        heard.push(options);
        return buildRecord();
      },
    });
    const request = { spec: { prompt: "fox" }, options: { labels: { b: "2", a: "1" } } };
    await connect(server).submitJob({ ...request, requestId: "r" });
    await connectInJson(server).submitJob({ ...request, requestId: "r" });
    await connect(server).submitJob(request);
    const [a, b, c] = heard.map(({ request }) => request);
    expect(a).toBeDefined();
    expect(b).toEqual(a);
    expect(c).toBeUndefined();
  });

  it("refuses a retention whose parts contradict each other", async () => {
    await using server = await serveJobs({});
    const options = { retention: { seconds: 90n, nanos: -1 } };
    const failure = await failureOf(
      connect(server).submitJob({ spec: { prompt: "fox" }, requestId: "r", options }),
    );
    expect(failure).toMatchObject({ code: "InvalidArgument", fields: ["options.retention"] });
  });

  it("passes on why no job was made", async () => {
    await using server = await serveJobs({
      submit: () => Promise.reject(new ServiceError("REQUEST_ID_REUSED", "used before")),
    });
    const failure = await failureOf(connect(server).submitJob({ spec: { prompt: "fox" }, requestId: "r" }));
    expect(failure).toMatchObject({ code: "AlreadyExists", reason: "REQUEST_ID_REUSED" });
  });
});

describe("GetJob", () => {
  const failed = buildRecord({
    state: "failed",
    attempt: { number: 2, promptId: jobId, backend: "gpu-1", fate: "gone" },
    batch: { id: batchId, index: 3 },
    startTime: at(1),
    endTime: at(2),
    expireTime: at(62),
    images: [buildImage(0)],
    failure: buildFailure("NODE_FAILED"),
  });

  it("tells all that is known, why the job failed included", async () => {
    await using server = await serveJobs({ get: async () => failed });
    const { job } = await connect(server).getJob({ jobId });
    expect(job).toMatchObject({
      jobId,
      state: JobState.FAILED,
      batchId,
      batchIndex: 3,
      attemptCount: 2,
      backendName: "gpu-1",
      resolvedSpec: { prompt: "a red fox", seed: 2n ** 64n - 1n },
      images: [{ assetId: buildImage(0).sha256, sha256: buildImage(0).sha256, sizeBytes: 12_345n }],
      error: { code: Code.FailedPrecondition, message: "because of NODE_FAILED" },
    });
    const times = [job?.createTime, job?.startTime, job?.endTime, job?.expireTime];
    expect(times.map((time) => time && timestampDate(time))).toEqual([startTime, at(1), at(2), at(62)]);
    const [info] = job?.error?.details ?? [];
    expect(info && anyUnpack(info, ErrorInfoSchema)?.metadata).toEqual({ name: "x", job_id: jobId });
  });

  it("tells the same in JSON", async () => {
    await using server = await serveJobs({ get: async () => failed });
    const response = await fetch(`${server.url}/comfyrpc.v1.JobService/GetJob`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ jobId }),
    });
    expect(await response.json()).toMatchObject({
      job: {
        state: "JOB_STATE_FAILED",
        error: {
          details: [
            {
              "@type": "type.googleapis.com/google.rpc.ErrorInfo",
              reason: "NODE_FAILED",
              domain: "comfyrpc",
            },
            { "@type": "type.googleapis.com/google.rpc.BadRequest" },
            { "@type": "type.googleapis.com/comfyrpc.v1.WorkflowFailure" },
            { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "1.500s" },
          ],
        },
      },
    });
  });

  it("leaves out what is not there yet", async () => {
    await using server = await serveJobs({ get: async () => buildRecord() });
    const { job } = await connect(server).getJob({ jobId });
    for (const absent of ["startTime", "endTime", "expireTime", "error", "result"] as const) {
      expect(job?.[absent]).toBeUndefined();
    }
  });

  it("has the result of a job that succeeded", async () => {
    const result = buildResult(2, { reusedJobId: batchId });
    await using server = await serveJobs({ get: async () => buildRecord({ state: "succeeded", result }) });
    const { job } = await connect(server).getJob({ jobId });
    expect(job?.result).toMatchObject({ jobId, reusedJobId: batchId, images: [{ index: 0 }, { index: 1 }] });
  });

  it("does not mind capital letters, and says when there is no such job", async () => {
    await using server = await serveJobs({
      get: async (id) => {
        if (id === jobId) return buildRecord();
        throw new ServiceError("JOB_NOT_FOUND", "no such job");
      },
    });
    expect((await connect(server).getJob({ jobId: jobId.toUpperCase() })).job?.jobId).toBe(jobId);
    expect(await failureOf(connect(server).getJob({ jobId: batchId }))).toMatchObject({
      code: "NotFound",
      reason: "JOB_NOT_FOUND",
    });
    expect(await failureOf(connect(server).getJob({ jobId: "1" }))).toMatchObject({ fields: ["job_id"] });
  });
});

describe("ListJobs", () => {
  const records = Array.from({ length: 120 }, (_, i) =>
    buildRecord({
      id: `00000000-0000-4000-8000-${String(i).padStart(12, "0")}`,
      createTime: at(-Math.floor(i / 3)), // several at one time
      result: buildResult(),
    }),
  );

  /** Lists `records`, and notes what it was asked. */
  function listing() {
    const heard: { filter: JobFilter; limit: number }[] = [];
    const list = async (filter: JobFilter, limit: number): Promise<readonly JobRecord[]> => {
      heard.push({ filter, limit });
      const from = records.findIndex(({ id }) => id === filter.after?.id) + 1;
      return records.slice(from, from + limit);
    };
    return { heard, list };
  }

  it("gives pages that follow each other, without results", async () => {
    const { heard, list } = listing();
    await using server = await serveJobs({ list });
    const client = connect(server);
    const ids: string[] = [];
    let pageToken = "";
    do {
      const page = await client.listJobs({ pageToken });
      expect(page.jobs.every(({ result }) => result === undefined)).toBe(true);
      ids.push(...page.jobs.map((job) => job.jobId));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(ids).toEqual(records.map(({ id }) => id));
    expect(heard).toHaveLength(3); // of 50, 50 and 20
    expect(heard[1]?.filter.after).toEqual({ createTime: records[49]?.createTime, id: records[49]?.id });
  });

  it("knows the last page where it is full", async () => {
    const { list } = listing();
    await using server = await serveJobs({ list });
    const client = connect(server);
    const first = await client.listJobs({ pageSize: 60 });
    const second = await client.listJobs({ pageSize: 60, pageToken: first.nextPageToken });
    expect([first.jobs.length, second.jobs.length, second.nextPageToken]).toEqual([60, 60, ""]);
  });

  it("passes the filter on", async () => {
    const { heard, list } = listing();
    await using server = await serveJobs({ list });
    const filter: MessageInitShape<typeof JobFilterSchema> = {
      states: [JobState.QUEUED, JobState.EXPIRED],
      labels: { a: "1" },
      createTimeFrom: timestampFromDate(at(1)),
      createTimeBefore: timestampFromDate(at(2)),
      batchId: batchId.toUpperCase(),
    };
    await connect(server).listJobs({ filter });
    expect(heard[0]?.filter).toEqual({
      states: ["queued", "expired"],
      labels: { a: "1" },
      createdFrom: at(1),
      createdBefore: at(2),
      batchId,
    });
  });

  it("refuses the token of another filter, and a page that is too large", async () => {
    const { list } = listing();
    await using server = await serveJobs({ list });
    const client = connect(server);
    const { nextPageToken: pageToken } = await client.listJobs({ filter: { states: [JobState.QUEUED] } });
    expect(await failureOf(client.listJobs({ pageToken }))).toMatchObject({
      reason: "INVALID_FIELD",
      fields: ["page_token"],
    });
    expect(await failureOf(client.listJobs({ pageSize: 101 }))).toMatchObject({ fields: ["page_size"] });
    const filter = { createTimeFrom: { seconds: 2n ** 62n } };
    expect(await failureOf(client.listJobs({ filter }))).toMatchObject({
      fields: ["filter.create_time_from"],
    });
  });
});

describe("CancelJob and DeleteJob", () => {
  it("tell in which state the job was, and what became of it", async () => {
    const deleted: string[] = [];
    await using server = await serveJobs({
      cancel: async () => ({ job: buildRecord({ state: "cancelling" }), foundIn: "running" }),
      delete: async (id) => {
        deleted.push(id);
        if (deleted.length > 1) throw new ServiceError("JOB_ACTIVE", "cancel it first");
      },
    });
    const client = connect(server);
    const { job, foundState } = await client.cancelJob({ jobId });
    expect([job?.state, foundState]).toEqual([JobState.CANCELLING, JobState.RUNNING]);
    await client.deleteJob({ jobId });
    expect(deleted).toEqual([jobId]);
    expect(await failureOf(client.deleteJob({ jobId }))).toMatchObject({
      code: "FailedPrecondition",
      reason: "JOB_ACTIVE",
    });
  });
});

type SubmitBatchSource = NonNullable<MessageInitShape<typeof SubmitBatchRequestSchema>["source"]>;

describe("batches", () => {
  const batch: BatchRecord = {
    id: batchId,
    requestId: "r",
    createTime: startTime,
    jobs: [
      buildRecord({ state: "succeeded", result: buildResult() }),
      buildRecord({ state: "expired", failure: buildFailure("JOB_TIMEOUT") }),
    ],
  };

  it("are made of a grid as of a list", async () => {
    const heard: { specs: readonly GenerationSpec[]; options: SubmitOptions }[] = [];
    await using server = await serveJobs({
      submitBatch: async (specs, options) => {
        heard.push({ specs, options });
        return batch;
      },
    });
    const client = connect(server);
    await client.submitBatch({
      source: { case: "specs", value: { specs: [{ prompt: "fox" }, { prompt: "owl" }] } },
      requestId: "r",
      options: { note: "n" },
    });
    const response = await client.submitBatch({
      source: { case: "grid", value: { base: { prompt: "fox" }, seeds: [1n, 2n] } },
    });
    expect(
      heard.map(({ specs }) => specs.map(({ task }) => task.type === "picture" && [task.prompt, task.seed])),
    ).toEqual([
      [
        ["fox", undefined],
        ["owl", undefined],
      ],
      [
        ["fox", 1n],
        ["fox", 2n],
      ],
    ]);
    expect(heard[0]?.options).toMatchObject({ note: "n", request: { id: "r" } });
    expect(response.batch).toMatchObject({ batchId, requestId: "r" });
  });

  it.each([
    ["specs.specs[1].prompt", { case: "specs", value: { specs: [{ prompt: "fox" }, { prompt: " " }] } }],
    ["specs.specs", { case: "specs", value: { specs: [] } }],
    [
      "specs.specs",
      { case: "specs", value: { specs: Array.from({ length: 11 }, () => ({ prompt: "fox" })) } },
    ],
    ["grid.prompts[1]", { case: "grid", value: { base: {}, prompts: ["fox", ""] } }],
    ["grid.base.steps", { case: "grid", value: { base: { prompt: "fox", steps: 151 } } }],
    ["source", { case: undefined }],
  ] as const)("are refused for %s", async (field, source) => {
    await using server = await serveJobs({});
    // A source as a caller may send it; the schema takes more than its type says.
    const request = { source } as Parameters<ReturnType<typeof connect>["submitBatch"]>[0];
    const failure = await failureOf(connect(server).submitBatch(request));
    expect(failure).toMatchObject({ code: "InvalidArgument", reason: "INVALID_FIELD", fields: [field] });
  });

  it.each<[string, SubmitBatchSource]>([
    ["specs.specs[1].model", { case: "specs", value: { specs: [{ prompt: "a" }, { prompt: "b" }] } }],
    ["grid.base.model", { case: "grid", value: { base: { prompt: "a" }, seeds: [1n, 2n] } }],
  ])("say where in the request a name is that no backend has: %s", async (field, source) => {
    await using server = await serveJobs({
      submitBatch: async () => {
        const violations = [{ field: "specs[1].model", description: "unknown" }];
        throw new ServiceError("MODEL_NOT_FOUND", "specs[1].model: unknown", { violations });
      },
    });
    const failure = await failureOf(connect(server).submitBatch({ source }));
    expect(failure).toMatchObject({ reason: "MODEL_NOT_FOUND", fields: [field] });
    expect(failure.message).toContain(`${field}: unknown`);
  });

  it("count how their jobs ended", async () => {
    await using server = await serveJobs({ getBatch: async () => batch });
    const response = await connect(server).getBatch({ batchId });
    expect(response.batch).toMatchObject({ ended: true, succeededCount: 1, failedCount: 1 });
    expect(response.batch?.jobs.map(({ state, result }) => [state, result])).toEqual([
      [JobState.SUCCEEDED, undefined],
      [JobState.EXPIRED, undefined],
    ]);
  });

  it("have not ended as long as one job has not", async () => {
    const jobs = [...batch.jobs, buildRecord({ state: "cancelling" })];
    await using server = await serveJobs({
      cancelBatch: async () => ({
        batch: { ...batch, jobs },
        foundIn: ["succeeded", "expired", "running"],
      }),
    });
    const response = await connect(server).cancelBatch({ batchId });
    expect(response.batch).toMatchObject({ ended: false, succeededCount: 1, failedCount: 1 });
    expect(response.foundStates).toEqual([JobState.SUCCEEDED, JobState.EXPIRED, JobState.RUNNING]);
  });
});
