import { createHash } from "node:crypto";
import { toJson } from "@bufbuild/protobuf";
import { type JobFilter as FilterMessage, JobFilterSchema } from "../../gen/comfyrpc/v1/job_service_pb.js";
import { canonicalJson } from "../lib/canonical-json.ts";
import type { JobFilter } from "../storage/job-store.ts";
import { invalidField } from "./invalid-fields.ts";

/** The job after which a page begins. */
export type PageStart = NonNullable<JobFilter["after"]>;

/**
 * Writes where the next page begins as a text that only {@link parsePageToken} reads, and only for the same filter. It
 * is no secret: whose jobs are listed is not up to it.
 *
 * Form: a byte for the version, the time in milliseconds as a signed 64-bit number, the UUID, and a hash of these and the
 * filter; in base64url.
 */
export function createPageToken({ createTime, id }: PageStart, filter: FilterMessage | undefined): string {
  const start = Buffer.alloc(startBytes);
  start.writeUInt8(version, 0);
  start.writeBigInt64BE(BigInt(createTime.getTime()), 1);
  start.write(id.replaceAll("-", ""), 9, "hex");
  return Buffer.concat([start, seal(start, filter)]).toString("base64url");
}

/** @throws ServiceError `INVALID_FIELD` if the token was not made by {@link createPageToken} for this filter */
export function parsePageToken(token: string, filter: FilterMessage | undefined): PageStart {
  const bytes = Buffer.from(token, "base64url");
  const start = bytes.subarray(0, startBytes);
  const isOurs =
    bytes.toString("base64url") === token && // decoding skips what is not base64url
    bytes.length === startBytes + sealBytes &&
    start.readUInt8(0) === version &&
    bytes.subarray(startBytes).equals(seal(start, filter));
  if (!isOurs) {
    throw invalidField("page_token", "must be the next_page_token of an answer to the same filter");
  }
  const id = start.toString("hex", 9).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  return { createTime: new Date(Number(start.readBigInt64BE(1))), id };
}

const version = 1;
const startBytes = 1 + 8 + 16;
const sealBytes = 16;

function seal(start: Buffer, filter: FilterMessage | undefined): Buffer {
  const said = filter === undefined ? {} : toJson(JobFilterSchema, filter);
  return createHash("sha256").update(start).update(canonicalJson(said)).digest().subarray(0, sealBytes);
}
