import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { JobState } from "../../../gen/comfyrpc/v1/job_state_pb.js";
import { jobIdOf, jobOf } from "../testing/staged-jobs.ts";
import { jobTable } from "./job-table.ts";

const now = new Date(Date.UTC(2026, 0, 2, 3, 9, 8));
const jobs = [
  jobOf(1, { state: JobState.SUCCEEDED }),
  jobOf(2, {
    createTime: timestampFromMs(now.getTime() - 3_000),
    resolvedSpec: {
      prompt: "ein Fuchs im Schnee, vor einem Wald, am frühen Morgen, mit Nebel zwischen den Bäumen",
      seed: 9007199254740991n,
      widthPx: 1024,
      heightPx: 1024,
      imageCount: 4,
    },
  }),
];

describe("jobTable", () => {
  it("has a row for each job where there is no terminal", () => {
    expect(jobTable(jobs, now, undefined)).toEqual([
      "ID                                    STATE      AGE    SIZE          SEED              PROMPT",
      `${jobIdOf(1)}  succeeded  5m03s  512x768       42                a red fox`,
      `${jobIdOf(2)}  queued     3s     1024x1024 x4  9007199254740991  ein Fuchs im Schnee, vor einem Wald, am frühen Morgen, mit…`,
    ]);
  });

  it("has two rows for each where a terminal is narrow, and loses nothing but the end of prompts", () => {
    expect(jobTable(jobs, now, 80)).toEqual([
      "ID                                    STATE      AGE    SIZE",
      `${jobIdOf(1)}  succeeded  5m03s  512x768`,
      "  a red fox  seed 42",
      `${jobIdOf(2)}  queued     3s     1024x1024 x4`,
      "  ein Fuchs im Schnee, vor einem Wald, am frühen Morgen,…  seed 9007199254740991",
    ]);
  });

  it.each([80, 100, 120, 200])("fits into %i columns", (width) => {
    for (const line of jobTable(jobs, now, width)) expect([...line].length).toBeLessThanOrEqual(width);
  });

  it("lets no control character of the service reach the terminal", () => {
    const job = jobOf(1, { jobId: "\u001b[2J", resolvedSpec: { prompt: "a\u0007fox\nin" } });
    expect(jobTable([job], now, undefined)[1]).toBe("[2J  queued  5m03s  -     -     a fox in");
  });
});
