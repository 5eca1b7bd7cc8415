import { z } from "zod";

/** A 64-bit number: text in JSON. */
const uint64 = z
  .string()
  .regex(/^\d+$/)
  .transform((digits) => BigInt(digits));
const uint32 = z.number().int().min(0).default(0);
const text = z.string().default("");
const bytes = z
  .string()
  .transform((base64) => Buffer.from(base64, "base64"))
  .default(Buffer.alloc(0));

/** As it is: to be looked into by single fields, and to be sent again. */
const spec = z.looseObject({ prompt: text, seed: uint64Text() });

const image = z.object({
  index: uint32,
  nodeId: text,
  format: z.string(),
  mediaType: z.string(),
  widthPx: uint32,
  heightPx: uint32,
  sizeBytes: uint64,
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  seed: uint64.default(0n),
  data: bytes,
  assetId: text,
});

const result = z.object({
  jobId: z.string(),
  images: z.array(image),
  resolvedSpec: spec,
  graphSha256: z.string().regex(/^[0-9a-f]{64}$/),
  attemptCount: uint32,
  reusedJobId: text,
});

/** A `google.rpc.Status`, whose details each client shows in its own way. */
const rpcStatus = z.object({ code: uint32, message: text });

const jobEvent = z.object({
  sequence: uint64,
  jobId: z.string(),
  accepted: z.object({ resolvedSpec: spec }).optional(),
  queued: z.object({ jobsAhead: uint32, attempt: uint32 }).optional(),
  started: z.object({ attempt: uint32, nodeCount: uint32, cachedNodeCount: uint32 }).optional(),
  nodeStarted: z.object({ nodeId: text, classType: text, title: text }).optional(),
  progress: z
    .object({ nodeId: text, step: uint32, steps: uint32, fraction: z.number().min(0).max(1).default(0) })
    .optional(),
  preview: z
    .object({
      nodeId: text,
      step: uint32,
      format: z.string(),
      widthPx: uint32,
      heightPx: uint32,
      data: bytes,
      imageIndex: uint32,
    })
    .optional(),
  image: z.object({ image, chunked: z.boolean().default(false) }).optional(),
  imageChunk: z.object({ imageIndex: uint32, offset: uint64.default(0n), data: bytes }).optional(),
  completed: z.object({ result }).optional(),
  cancelling: z.object({ reason: rpcStatus }).optional(),
  failed: z.object({ state: text, error: rpcStatus }).optional(),
});

const job = z.object({
  jobId: z.string(),
  state: z.string(),
  labels: z.record(z.string(), z.string()).default({}),
  note: text,
  requestId: text,
  batchId: text,
  batchIndex: uint32,
  resolvedSpec: spec,
  createTime: z.unknown(),
  startTime: z.unknown().optional(),
  endTime: z.unknown().optional(),
  expireTime: z.unknown().optional(),
  attemptCount: uint32,
  backendName: text,
  images: z.array(image).default([]),
  lastSequence: uint64,
  error: rpcStatus.optional(),
  result: result.optional(),
});

const batch = z.object({
  batchId: z.string(),
  requestId: text,
  jobs: z.array(job).default([]),
  ended: z.boolean().default(false),
  succeededCount: uint32,
  failedCount: uint32,
});

const jobResponse = z.object({ job });
const batchResponse = z.object({ batch });
const cancelJobResponse = z.object({ job, foundState: z.string() });
const cancelBatchResponse = z.object({ batch, foundStates: z.array(z.string()) });
const listJobsResponse = z.object({ jobs: z.array(job).default([]), nextPageToken: text });

const generateResponse = z.object({ images: z.array(image), result });
const generateWithProgressResponse = z.object({ event: jobEvent }).transform(({ event }) => event);
const healthResponse = z
  .object({
    health: z.object({
      ready: z.boolean().default(false),
      version: z.string(),
      queuedJobCount: uint32,
      runningJobCount: uint32,
      backends: z.array(
        z.object({ backend: z.object({ name: z.string(), builtIn: z.boolean() }), state: z.string() }),
      ),
    }),
  })
  .transform(({ health }) => health);

const errorInfo = z.object({
  reason: z.string(),
  domain: z.string(),
  metadata: z.record(z.string(), z.string()).default({}),
});
const badRequest = z.object({
  fieldViolations: z.array(z.object({ field: z.string(), description: z.string() })),
});

export type Job = z.output<typeof job>;
export type Batch = z.output<typeof batch>;
export type Image = z.output<typeof image>;
export type JobEvent = z.output<typeof jobEvent>;
export type GenerateResponse = z.output<typeof generateResponse>;
export type HealthFacts = z.output<typeof healthResponse>;

/** Reads a `GenerateResponse` in JSON. */
export function parseGenerateResponse(json: unknown): GenerateResponse {
  return generateResponse.parse(json);
}

/** Reads the event of a `GenerateWithProgressResponse` in JSON, or that of a message of another stream of events. */
export function parseJobEvent(json: unknown): JobEvent {
  return generateWithProgressResponse.parse(json);
}

/** Reads the job of a `SubmitJobResponse` or a `GetJobResponse` in JSON. */
export function parseJob(json: unknown): Job {
  return jobResponse.parse(json).job;
}

/** Reads the batch of a `SubmitBatchResponse` or a `GetBatchResponse` in JSON. */
export function parseBatch(json: unknown): Batch {
  return batchResponse.parse(json).batch;
}

/** Reads a `CancelJobResponse` in JSON. */
export function parseCancelledJob(json: unknown): z.output<typeof cancelJobResponse> {
  return cancelJobResponse.parse(json);
}

/** Reads a `CancelBatchResponse` in JSON. */
export function parseCancelledBatch(json: unknown): z.output<typeof cancelBatchResponse> {
  return cancelBatchResponse.parse(json);
}

/** Reads a `ListJobsResponse` in JSON. */
export function parseJobList(json: unknown): z.output<typeof listJobsResponse> {
  return listJobsResponse.parse(json);
}

/** Reads what a `HealthResponse` in JSON says. */
export function parseHealth(json: unknown): HealthFacts {
  return healthResponse.parse(json);
}

/** Reads the `google.rpc.ErrorInfo` among the details of a status. */
export function errorInfoIn(details: ReadonlyMap<string, unknown>): z.output<typeof errorInfo> {
  return errorInfo.parse(details.get("google.rpc.ErrorInfo"));
}

/** The fields that the `google.rpc.BadRequest` among the details of a status names. */
export function badFieldsIn(details: ReadonlyMap<string, unknown>): string[] {
  return badRequest.parse(details.get("google.rpc.BadRequest")).fieldViolations.map(({ field }) => field);
}

/** A 64-bit number that stays text, so that it can be sent again. */
function uint64Text() {
  return z.string().regex(/^\d+$/).default("0");
}
