import type { Message } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { JobOptions } from "../../gen/comfyrpc/v1/job_pb.js";
import type { SubmitOptions } from "../jobs/submit-options.ts";
import { fromDuration } from "./convert/time.ts";
import { fingerprintOf } from "./request-fingerprint.ts";

/** A request that makes jobs. */
export type SubmittingRequest = Message & {
  readonly requestId: string;
  readonly options?: JobOptions | undefined;
};

/**
 * What the request of a call that makes jobs says beside what they draw.
 *
 * @throws ServiceError `INVALID_FIELD` if the retention is no length of time
 */
export function submitOptionsOf(
  request: SubmittingRequest,
  { method }: Pick<HandlerContext, "method">,
): SubmitOptions {
  const { labels = {}, note = "", retention } = request.options ?? {};
  const retentionMs = retention && fromDuration(retention, "options.retention");
  return {
    labels,
    note,
    ...(retentionMs !== undefined && { retentionMs }),
    ...(request.requestId !== "" && {
      request: { id: request.requestId, fingerprint: fingerprintOf(method, request) },
    }),
  };
}
