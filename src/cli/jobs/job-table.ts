import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Job } from "../../../gen/comfyrpc/v1/job_pb.js";
import { formatSeconds } from "../format-duration.ts";
import { plainText } from "../plain-text.ts";
import { shorten } from "../shorten.ts";
import { subjectOf } from "../subject-of.ts";
import { tableLines } from "../table.ts";
import { nameOfState } from "./job-states.ts";

/**
 * `jobs` for people, each in a row, or in two where `width` leaves too little room for the prompts.
 *
 * @param width of the terminal in characters; `undefined` for a file or a program, which get a row for each job
 */
export function jobTable(jobs: readonly Job[], now: Date, width: number | undefined): string[] {
  if (width === undefined) return wideTable(jobs, now, longestPrompt);
  const roomForPrompt =
    width - widthOf(tableLines([seedHeader, ...jobs.map((job) => seedRow(job, now))])) - 2;
  return roomForPrompt < shortestPrompt
    ? narrowTable(jobs, now, width)
    : wideTable(jobs, now, Math.min(longestPrompt, roomForPrompt));
}

const shortestPrompt = 16;
const longestPrompt = 60;

const narrowHeader = ["ID", "STATE", "AGE", "SIZE"];
const seedHeader = [...narrowHeader, "SEED"];

function wideTable(jobs: readonly Job[], now: Date, promptLength: number): string[] {
  const rows = jobs.map((job) => [...seedRow(job, now), shorten(promptOf(job), promptLength)]);
  return tableLines([[...seedHeader, "PROMPT"], ...rows]);
}

function narrowTable(jobs: readonly Job[], now: Date, width: number): string[] {
  const [header = "", ...lines] = tableLines([narrowHeader, ...jobs.map((job) => narrowRow(job, now))]);
  const pairs = jobs.flatMap((job, index) => {
    const seed = `seed ${seedOf(job)}`;
    return [lines[index] ?? "", `  ${shorten(promptOf(job), width - seed.length - 4)}  ${seed}`];
  });
  return [header, ...pairs];
}

function seedRow(job: Job, now: Date): string[] {
  return [...narrowRow(job, now), seedOf(job)];
}

function narrowRow({ jobId, state, createTime, resolvedSpec }: Job, now: Date): string[] {
  const { widthPx = 0, heightPx = 0, imageCount = 1 } = resolvedSpec ?? {};
  return [
    plainText(jobId),
    nameOfState(state),
    createTime ? formatSeconds(now.getTime() - timestampMs(createTime)) : "-",
    widthPx > 0 ? `${widthPx}x${heightPx}${imageCount > 1 ? ` x${imageCount}` : ""}` : "-",
  ];
}

function seedOf({ resolvedSpec }: Job): string {
  return `${resolvedSpec?.seed ?? "-"}`;
}

function promptOf({ resolvedSpec }: Job): string {
  return plainText(resolvedSpec === undefined ? "" : subjectOf(resolvedSpec));
}

function widthOf(lines: readonly string[]): number {
  return Math.max(...lines.map((line) => line.length));
}
