import type { Batch } from "../../../gen/comfyrpc/v1/batch_pb.js";
import { formatTime } from "../format-time.ts";
import { jobTable } from "../jobs/job-table.ts";
import { plainText } from "../plain-text.ts";

/**
 * `batch` for people: some lines about it, and a table of its jobs.
 *
 * @param width as of {@link jobTable}
 */
export function batchLines(batch: Batch, now: Date, width: number | undefined): string[] {
  const { batchId, requestId, createTime, jobs, ended, succeededCount, failedCount } = batch;
  const openCount = jobs.length - succeededCount - failedCount;
  const counts = [
    `${jobs.length} ${jobs.length === 1 ? "job" : "jobs"}`,
    `${succeededCount} succeeded`,
    `${failedCount} without success`,
    ...(ended ? [] : [`${openCount} to go`]),
  ];
  return [
    `batch    ${plainText(batchId)}`,
    ...(requestId ? [`request  ${plainText(requestId)}`] : []),
    ...(createTime ? [`created  ${formatTime(createTime, now)}`] : []),
    `state    ${ended ? "ended" : "under way"}: ${counts.join(", ")}`,
    "",
    ...jobTable(jobs, now, width),
  ];
}
