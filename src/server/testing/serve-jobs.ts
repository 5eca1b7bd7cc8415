import { once } from "node:events";
import { startTime } from "../../../test/contract/job-store/job-builders.ts";
import { buildGeneration } from "../../../test/support/generations.ts";
import { type RpcServer, startRpcServer } from "../../../test/support/start-rpc-server.ts";
import type { JobEvent, JobEventData } from "../../domain/job-event.ts";
import type { JobRecord } from "../../domain/job-record.ts";
import type { JobService } from "../../jobs/job-service.ts";
import { createLogger, type Logger } from "../../telemetry/logger.ts";
import { mapErrors } from "../interceptors/map-errors.ts";
import { validateRequests } from "../interceptors/validate.ts";
import { jobServiceRoutes } from "../job-service-routes.ts";
import { generate } from "../rpc/generate.ts";
import { generateWithProgress } from "../rpc/generate-with-progress.ts";
import { createFakeBlobs, type FakeBlobs } from "./fake-blobs.ts";

/** What the RPC methods use of the job service. */
export type Jobs = Omit<JobService, "close" | "attachedJobIds" | typeof Symbol.asyncDispose>;

export interface JobServer extends RpcServer {
  readonly blobs: FakeBlobs;
}

/** Serves `JobService` and the methods of `ImageService` that draw, over a job service that has these methods only. */
export async function serveJobs(
  methods: Partial<Jobs>,
  logger: Logger = createLogger({ level: "silent" }),
): Promise<JobServer> {
  const jobs: Jobs = { ...unexpected, ...methods };
  const blobs = createFakeBlobs();
  const server = await startRpcServer({
    interceptors: [mapErrors(logger), validateRequests()],
    images: {
      generate: generate({ jobs, blobs }),
      generateWithProgress: generateWithProgress({ jobs, blobs }),
    },
    routes: jobServiceRoutes({ jobs, blobs }),
  });
  return { ...server, blobs };
}

export const jobId = "0d9a0f6a-7b1c-4e5d-8f00-123456789abc";

/** A job that waits, as it is after its first two events. */
export function buildRecord(overrides: Partial<JobRecord> = {}): JobRecord {
  return {
    id: jobId,
    tenant: "",
    requestId: "",
    labels: {},
    note: "",
    generation: buildGeneration(),
    plan: { graph: {}, inputs: [], images: [], keeps: "images" },
    reuseKey: "",
    retentionMs: 60_000,
    createTime: startTime,
    state: "queued",
    lastSequence: 2n,
    queueDeadline: startTime,
    images: [],
    outputs: [],
    ...overrides,
  };
}

/** Events numbered from `first` on; passing ones repeat the number before them. */
export function eventsOf(data: readonly JobEventData[], first = 1n): JobEvent[] {
  let sequence = first - 1n;
  return data.map((one): JobEvent => {
    switch (one.type) {
      case "place":
      case "progress":
      case "preview":
        return { sequence, time: startTime, data: one };
      default:
        sequence += 1n;
        return { sequence, time: startTime, data: one };
    }
  });
}

/** As `JobService.watch` does, for a job that has ended. */
export async function* streamOf<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

/** Resolves once `signal` is aborted. */
export async function untilAborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) {
    await once(signal, "abort");
  }
}

const fail = (): never => {
  throw new Error("a method of the job service was called that the test does not expect");
};

const unexpected: Jobs = {
  batchLimit: 10,
  dryRun: fail,
  validate: fail,
  submit: fail,
  generate: fail,
  submitBatch: fail,
  get: fail,
  list: fail,
  watch: fail,
  follow: fail,
  cancel: fail,
  delete: fail,
  getBatch: fail,
  watchBatch: fail,
  cancelBatch: fail,
};
