import { toJson } from "@bufbuild/protobuf";
import { type JobFilter as FilterMessage, JobFilterSchema } from "../../gen/comfyrpc/v1/job_service_pb.js";
import type { JobFilter } from "../storage/job-store.ts";
import { createPageToken, foreignPageToken, parsePageToken } from "./page-token.ts";

/** The job after which a page begins. */
export type PageStart = NonNullable<JobFilter["after"]>;

/**
 * Writes where the next page of jobs begins, as {@link createPageToken} does.
 *
 * Form of the position: the time in milliseconds as a signed 64-bit number, and the UUID.
 */
export function createJobPageToken({ createTime, id }: PageStart, filter: FilterMessage | undefined): string {
  const position = Buffer.alloc(positionBytes);
  position.writeBigInt64BE(BigInt(createTime.getTime()), 0);
  position.write(id.replaceAll("-", ""), 8, "hex");
  return createPageToken(position, said(filter));
}

/** @throws ServiceError `INVALID_FIELD` if the token was not made by {@link createJobPageToken} for this filter */
export function parseJobPageToken(token: string, filter: FilterMessage | undefined): PageStart {
  const position = parsePageToken(token, said(filter));
  if (position.length !== positionBytes) {
    throw foreignPageToken();
  }
  const id = position.toString("hex", 8).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  return { createTime: new Date(Number(position.readBigInt64BE(0))), id };
}

const positionBytes = 8 + 16;

function said(filter: FilterMessage | undefined) {
  return filter === undefined ? {} : toJson(JobFilterSchema, filter);
}
