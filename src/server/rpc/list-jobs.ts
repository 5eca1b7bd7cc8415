import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type ListJobsRequest,
  type ListJobsResponse,
  ListJobsResponseSchema,
} from "../../../gen/comfyrpc/v1/job_service_pb.js";
import type { JobService } from "../../jobs/job-service.ts";
import { callSignal } from "../call-signal.ts";
import { callerOf } from "../caller-of.ts";
import { fromFilterMessage, toListedJobMessage } from "../convert/job.ts";
import { createJobPageToken, parseJobPageToken } from "../job-page-token.ts";

/** `JobService.ListJobs`. */
export function listJobs({ jobs }: { readonly jobs: Pick<JobService, "list"> }) {
  return async (request: ListJobsRequest, context: HandlerContext): Promise<ListJobsResponse> => {
    const { pageToken } = request;
    const pageSize = request.pageSize || defaultPageSize;
    const filter = {
      ...fromFilterMessage(request.filter),
      ...(pageToken !== "" && { after: parseJobPageToken(pageToken, request.filter) }),
    };
    // One more than asked for tells whether there is another page.
    const found = await jobs.list(filter, pageSize + 1, callerOf(context), callSignal(context));
    const page = found.slice(0, pageSize);
    const last = found.length > pageSize ? page.at(-1) : undefined;
    return create(ListJobsResponseSchema, {
      jobs: page.map(toListedJobMessage),
      nextPageToken: last === undefined ? "" : createJobPageToken(last, request.filter),
    });
  };
}

const defaultPageSize = 50;
