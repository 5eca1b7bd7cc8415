import { JobService as JobServiceSchema } from "../../gen/comfyrpc/v1/job_service_pb.js";
import type { JobService } from "../jobs/job-service.ts";
import type { BlobStore } from "../storage/blob-store.ts";
import { cancelBatch } from "./rpc/cancel-batch.ts";
import { cancelJob } from "./rpc/cancel-job.ts";
import { deleteJob } from "./rpc/delete-job.ts";
import { getBatch } from "./rpc/get-batch.ts";
import { getJob } from "./rpc/get-job.ts";
import { getJobProvenance } from "./rpc/get-job-provenance.ts";
import { listJobs } from "./rpc/list-jobs.ts";
import { submitBatch } from "./rpc/submit-batch.ts";
import { submitJob } from "./rpc/submit-job.ts";
import { watchBatch } from "./rpc/watch-batch.ts";
import { watchJob } from "./rpc/watch-job.ts";
import type { Routes } from "./rpc-handler.ts";

export interface JobServiceRoutesDependencies {
  readonly jobs: Omit<JobService, "generate" | "close" | "attachedJobIds" | typeof Symbol.asyncDispose>;
  /** Where the images of jobs are. */
  readonly blobs: Pick<BlobStore, "read">;
}

/** Serves `comfyrpc.v1.JobService`. */
export function jobServiceRoutes({ jobs, blobs }: JobServiceRoutesDependencies): Routes {
  return (router) =>
    router.service(JobServiceSchema, {
      submitJob: submitJob({ jobs }),
      getJob: getJob({ jobs }),
      getJobProvenance: getJobProvenance({ jobs }),
      listJobs: listJobs({ jobs }),
      watchJob: watchJob({ jobs, blobs }),
      cancelJob: cancelJob({ jobs }),
      deleteJob: deleteJob({ jobs }),
      submitBatch: submitBatch({ jobs }),
      getBatch: getBatch({ jobs }),
      watchBatch: watchBatch({ jobs, blobs }),
      cancelBatch: cancelBatch({ jobs }),
    });
}
