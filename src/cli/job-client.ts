import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type CancelBatchRequestSchema,
  type CancelBatchResponse,
  type CancelJobRequestSchema,
  type CancelJobResponse,
  type DeleteJobRequestSchema,
  type DeleteJobResponse,
  type GetBatchRequestSchema,
  type GetBatchResponse,
  type GetJobProvenanceRequestSchema,
  type GetJobProvenanceResponse,
  type GetJobRequestSchema,
  type GetJobResponse,
  JobService,
  type ListJobsRequestSchema,
  type ListJobsResponse,
  type SubmitBatchRequestSchema,
  type SubmitBatchResponse,
  type SubmitJobRequestSchema,
  type SubmitJobResponse,
  type WatchBatchRequestSchema,
  type WatchBatchResponse,
  type WatchJobRequestSchema,
  type WatchJobResponse,
} from "../../gen/comfyrpc/v1/job_service_pb.js";
import type { GrpcChannel } from "./grpc-channel.ts";

/**
 * `comfyrpc.v1.JobService`. Failed calls throw `RpcError`. Aborting `signal`, or leaving the loop over events early,
 * ends the call and leaves the jobs alone. Calls with one answer fail with `DEADLINE_EXCEEDED` if it takes more than
 * 30 seconds.
 */
export interface JobClient {
  submitJob(
    request: MessageInitShape<typeof SubmitJobRequestSchema>,
    signal: AbortSignal,
  ): Promise<SubmitJobResponse>;
  getJob(request: MessageInitShape<typeof GetJobRequestSchema>, signal: AbortSignal): Promise<GetJobResponse>;
  getJobProvenance(
    request: MessageInitShape<typeof GetJobProvenanceRequestSchema>,
    signal: AbortSignal,
  ): Promise<GetJobProvenanceResponse>;
  listJobs(
    request: MessageInitShape<typeof ListJobsRequestSchema>,
    signal: AbortSignal,
  ): Promise<ListJobsResponse>;
  watchJob(
    request: MessageInitShape<typeof WatchJobRequestSchema>,
    signal: AbortSignal,
  ): AsyncIterable<WatchJobResponse>;
  cancelJob(
    request: MessageInitShape<typeof CancelJobRequestSchema>,
    signal: AbortSignal,
  ): Promise<CancelJobResponse>;
  deleteJob(
    request: MessageInitShape<typeof DeleteJobRequestSchema>,
    signal: AbortSignal,
  ): Promise<DeleteJobResponse>;
  submitBatch(
    request: MessageInitShape<typeof SubmitBatchRequestSchema>,
    signal: AbortSignal,
  ): Promise<SubmitBatchResponse>;
  getBatch(
    request: MessageInitShape<typeof GetBatchRequestSchema>,
    signal: AbortSignal,
  ): Promise<GetBatchResponse>;
  watchBatch(
    request: MessageInitShape<typeof WatchBatchRequestSchema>,
    signal: AbortSignal,
  ): AsyncIterable<WatchBatchResponse>;
  cancelBatch(
    request: MessageInitShape<typeof CancelBatchRequestSchema>,
    signal: AbortSignal,
  ): Promise<CancelBatchResponse>;
}

const timeLimit = { timeoutMs: 30_000 };

/** The service behind `channel`, which stays the caller's to dispose of. */
export function createJobClient(channel: GrpcChannel): JobClient {
  const methods = JobService.method;
  return {
    submitJob: (request, signal) => channel.unary(methods.submitJob, request, timeLimit, signal),
    getJob: (request, signal) => channel.unary(methods.getJob, request, timeLimit, signal),
    getJobProvenance: (request, signal) =>
      channel.unary(methods.getJobProvenance, request, timeLimit, signal),
    listJobs: (request, signal) => channel.unary(methods.listJobs, request, timeLimit, signal),
    watchJob: (request, signal) => channel.serverStreaming(methods.watchJob, request, {}, signal),
    cancelJob: (request, signal) => channel.unary(methods.cancelJob, request, timeLimit, signal),
    deleteJob: (request, signal) => channel.unary(methods.deleteJob, request, timeLimit, signal),
    submitBatch: (request, signal) => channel.unary(methods.submitBatch, request, timeLimit, signal),
    getBatch: (request, signal) => channel.unary(methods.getBatch, request, timeLimit, signal),
    watchBatch: (request, signal) => channel.serverStreaming(methods.watchBatch, request, {}, signal),
    cancelBatch: (request, signal) => channel.unary(methods.cancelBatch, request, timeLimit, signal),
  };
}
