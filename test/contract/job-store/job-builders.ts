import { createHash, randomUUID } from "node:crypto";
import { buildPicture as buildPicturePlan } from "../../../src/domain/build/build-picture.ts";
import type { ErrorReason } from "../../../src/domain/errors.ts";
import type { GenerationPlan } from "../../../src/domain/generation-plan.ts";
import { type ImageInfo, mediaTypeOf } from "../../../src/domain/image.ts";
import type { GenerationResult, LastingEventData } from "../../../src/domain/job-event.ts";
import type { JobFailure } from "../../../src/domain/job-failure.ts";
import type { JobRecord } from "../../../src/domain/job-record.ts";
import type { OutputInfo } from "../../../src/domain/output.ts";
import type { AssetStore } from "../../../src/storage/asset-store.ts";
import type {
  Claim,
  JobFilter,
  JobStore,
  JobWrite,
  Lease,
  NewJob,
  Submission,
} from "../../../src/storage/job-store.ts";
import { buildGeneration, buildPicture } from "../../support/generations.ts";

/** A signal that is never aborted. */
export const never = new AbortController().signal;

/** A filter that every job fits. */
export const all: JobFilter = { states: [], labels: {} };

const minute = 60_000;

/** The time at which the clock of the tests begins. */
export const startTime = new Date("2026-03-01T12:00:00.123Z");

/** Seconds after {@link startTime}. */
export function at(seconds: number): Date {
  return new Date(startTime.getTime() + seconds * 1_000);
}

/** A job that waits for an hour and is kept for a day. */
export function buildJob(overrides: Partial<NewJob> = {}): NewJob {
  return {
    id: randomUUID(),
    labels: {},
    note: "",
    generation: buildGeneration(),
    plan: buildPicturePlan(buildPicture(), "job"),
    reuseKey: randomUUID(),
    createTime: startTime,
    queueDeadline: new Date(startTime.getTime() + 60 * minute),
    retentionMs: 24 * 60 * minute,
    attached: false,
    ...overrides,
  };
}

/** A plan whose graph reads a file. */
export const planWithInput: GenerationPlan = {
  ...buildPicturePlan(buildPicture(), "job"),
  inputs: [{ assetId: "a".repeat(64), fileName: `comfyrpc/${"a".repeat(64)}.png` }],
};

/** A submission of one job, or of several that are a batch, for the empty tenant. */
export function buildSubmission(jobs: readonly NewJob[], overrides: Partial<Submission> = {}): Submission {
  return {
    tenant: "",
    jobs,
    ...(jobs.length > 1 && { batchId: randomUUID() }),
    maxQueued: 1_000,
    ...overrides,
  };
}

/** A request under which a submission can be repeated. */
export function buildRequest(id: string, fingerprint = "f"): NonNullable<Submission["request"]> {
  return { id, fingerprint, keptUntil: at(24 * 3_600) };
}

/** Submits jobs one by one, each of which must be accepted. Returns them as they are then. */
export async function submitEach(store: JobStore, jobs: readonly NewJob[]): Promise<readonly JobRecord[]> {
  const records: JobRecord[] = [];
  for (const job of jobs) {
    records.push(...(await submitted(store, buildSubmission([job]))));
  }
  return records;
}

/** The jobs of a submission that must be accepted. */
export async function submitted(store: JobStore, submission: Submission): Promise<readonly JobRecord[]> {
  const outcome = await store.submit(submission, never);
  if (outcome.type !== "accepted") {
    throw new Error(`the submission was not accepted: ${outcome.type}`);
  }
  return outcome.jobs;
}

/** Takes a lease that must be free. */
export async function lease(
  store: JobStore,
  backend = "gpu-1",
  owner = "owner-1",
  ttlMs = 10 * minute,
): Promise<Lease> {
  const taken = await store.acquireLease(backend, owner, ttlMs, never);
  if (taken === undefined) {
    throw new Error(`the lease of ${backend} is taken`);
  }
  return taken;
}

/** Claims one job, which must be there. */
export async function claimOne(store: JobStore, held: Lease): Promise<Claim> {
  const [claim] = await store.claim(held, 1, randomUUID, never);
  if (claim === undefined) {
    throw new Error("there is no job to claim");
  }
  return claim;
}

/** Submits a job and claims it, as the only one. */
export async function running(
  store: JobStore,
  held: Lease,
  overrides: Partial<NewJob> = {},
): Promise<JobRecord> {
  await submitEach(store, [buildJob(overrides)]);
  return (await claimOne(store, held)).job;
}

/** A write under a lease, with an id of its own. */
export function buildWrite(
  jobId: string,
  held: Lease,
  events: readonly LastingEventData[],
  overrides: Partial<JobWrite> = {},
): JobWrite {
  return { jobId, lease: held, writeId: randomUUID(), events, ...overrides };
}

/** Ends a running job with success, or otherwise. */
export async function finish(
  store: JobStore,
  held: Lease,
  jobId: string,
  data: LastingEventData = completed(),
): Promise<JobRecord> {
  const [outcome] = await store.record([buildWrite(jobId, held, [data])], never);
  if (outcome?.type !== "taken") {
    throw new Error("the end of the job was refused");
  }
  return outcome.job;
}

/** A failure with every kind of detail. */
export function buildFailure(reason: ErrorReason): JobFailure {
  return {
    reason,
    message: `because of ${reason}`,
    details: {
      metadata: { name: "x" },
      violations: [{ field: "spec.steps", description: "too many" }],
      nodes: [{ nodeId: "3", classType: "KSampler", errorType: "e", message: "m", title: "t" }],
      retryAfterMs: 1_500,
    },
  };
}

/** An image whose bytes differ with `index`. */
export function buildImage(index: number): ImageInfo {
  return {
    index,
    nodeId: `${100 * index + 9}`,
    format: "png",
    widthPx: 512,
    heightPx: 512,
    sizeBytes: 12_345,
    sha256: createHash("sha256").update(`${index}`).digest("hex"),
    seed: 2n ** 63n + BigInt(index),
  };
}

/** An output whose bytes differ with `index`. */
export function buildOutput(index: number): OutputInfo {
  return {
    index,
    nodeId: "12",
    classType: "ShowText",
    place: { key: "text", position: index },
    kind: "text",
    mediaType: "text/plain",
    fileName: "",
    sizeBytes: 3,
    sha256: createHash("sha256").update(`output ${index}`).digest("hex"),
    text: "a\0b",
  };
}

/** What a job with so many images has done. */
export function buildResult(imageCount = 1, overrides: Partial<GenerationResult> = {}): GenerationResult {
  return {
    images: Array.from({ length: imageCount }, (_, i) => buildImage(i)),
    outputs: [],
    generation: buildGeneration({ imageCount }),
    graphSha256: "ab".repeat(32),
    backend: { name: "gpu-1", comfyUiVersion: "0.3.70", builtIn: false },
    attemptCount: 1,
    createTime: startTime,
    endTime: at(3),
    timings: { queueMs: 1, backendQueueMs: 2, executionMs: 3, deliveryMs: 4.5, totalMs: 10.5 },
    nodes: [
      { nodeId: "3", classType: "KSampler", title: "Sample", startOffsetMs: 1, durationMs: 2, cached: false },
      { nodeId: "4", classType: "CheckpointLoaderSimple", title: "Load", cached: true },
    ],
    ...overrides,
  };
}

/** Keeps the images and outputs of a result, as a job that made them has done. */
export async function keepImages(
  assets: AssetStore,
  { images, outputs }: GenerationResult,
  tenant = "",
): Promise<void> {
  for (const { sha256, format, sizeBytes, widthPx, heightPx } of images) {
    const asset = { id: sha256, tenant, sizeBytes, widthPx, heightPx, fileName: "", createTime: startTime };
    await assets.put({ ...asset, mediaType: mediaTypeOf[format], expireTime: at(3_600) }, never);
  }
  for (const { sha256, mediaType, fileName, sizeBytes } of outputs) {
    const asset = { id: sha256, tenant, sizeBytes, mediaType, fileName, createTime: startTime };
    await assets.put({ ...asset, expireTime: at(3_600) }, never);
  }
}

/** Keeps what a job reads, as a caller that uploaded it has done. */
export async function keepInputs(assets: AssetStore, { plan }: NewJob, tenant = ""): Promise<void> {
  const facts = { sizeBytes: 9, mediaType: "image/png", widthPx: 1, heightPx: 1, fileName: "" };
  for (const { assetId: id } of plan.inputs) {
    await assets.put({ id, tenant, ...facts, createTime: startTime, expireTime: at(3_600) }, never);
  }
}

/** The event that a job has succeeded. */
export function completed(result = buildResult()): LastingEventData {
  return { type: "completed", result };
}

/** The event that a backend has begun. */
export function started(attempt = 1): LastingEventData {
  return {
    type: "started",
    backend: { name: "gpu-1", comfyUiVersion: "0.3.70", builtIn: false },
    attempt,
    nodeCount: 7,
    cachedNodeCount: 0,
  };
}

/** The event that an image is finished. */
export function produced(index: number): LastingEventData {
  return { type: "image", image: buildImage(index) };
}

/** The event that something beside images is there. */
export function left(index: number): LastingEventData {
  return { type: "output", output: buildOutput(index) };
}

/** The event that a node has begun. */
export function nodeStarted(nodeId: string): LastingEventData {
  return { type: "nodeStarted", nodeId, classType: "KSampler", title: "Sample" };
}

/** The event that a job waits again. */
export function queuedAgain(attempt: number): LastingEventData {
  return { type: "queued", jobsAhead: 0, attempt };
}

/** The event that a job has been stopped. */
export function stopped(reason: ErrorReason = "CANCELLED_BY_REQUEST"): LastingEventData {
  return { type: "failed", state: "cancelled", failure: buildFailure(reason) };
}
