import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import type { JobService, ListJobsRequest } from "../../../gen/comfyrpc/v1/job_service_pb.js";
import { JobState } from "../../../gen/comfyrpc/v1/job_state_pb.js";
import { captureIo } from "../testing/capture-io.ts";
import { onStage } from "../testing/on-stage.ts";
import { runCli } from "../testing/run-cli.ts";
import { jobIdOf, jobOf } from "../testing/staged-jobs.ts";

type ListJobs = ServiceImpl<typeof JobService>["listJobs"];

/** A service that has `count` jobs, and notes what it is asked for. */
function serviceWith(count: number, requests: ListJobsRequest[] = []): { listJobs: ListJobs } {
  return {
    listJobs: (request) => {
      requests.push(request);
      const start = Number(request.pageToken);
      const end = Math.min(count, start + request.pageSize);
      const jobs = Array.from({ length: end - start }, (_, index) => jobOf(start + index));
      return { jobs, nextPageToken: end < count ? `${end}` : "" };
    },
  };
}

describe("jobs list", () => {
  it("shows a table", async () => {
    await onStage(serviceWith(2), async ({ run }) => {
      const { exitCode, out, err } = await run(["jobs", "list"]);
      expect({ exitCode, err }).toEqual({ exitCode: 0, err: "" });
      const [header, ...rows] = out.trimEnd().split("\n");
      expect(header).toMatch(/^ID +STATE +AGE +SIZE +SEED +PROMPT$/);
      expect(rows.map((row) => row.split(" ")[0])).toEqual([jobIdOf(0), jobIdOf(1)]);
      expect(rows[0]).toMatch(/ {2}queued {2}.* {2}512x768 {2}42 {4}a red fox$/);
    });
  });

  it.each([40, 80, 120])("fits into a terminal of %i columns", async (columns) => {
    await onStage(serviceWith(3), async ({ run }) => {
      const { out } = await run(["jobs", "list"], captureIo({ columns }));
      // An id is never cut, so a terminal narrower than that has to wrap the line.
      for (const line of out.split("\n")) expect(line.length).toBeLessThanOrEqual(Math.max(columns, 64));
    });
  });

  it("asks for as many pages as the limit takes, and says that there are more", async () => {
    const requests: ListJobsRequest[] = [];
    await onStage(serviceWith(300, requests), async ({ run }) => {
      const { out, err } = await run(["jobs", "list", "--json", "--limit", "250"]);
      const ids = out
        .trim()
        .split("\n")
        .map((line): unknown => JSON.parse(line).jobId);
      expect(ids).toEqual(Array.from({ length: 250 }, (_, index) => jobIdOf(index)));
      expect(err).toBe("");
      expect(requests.map(({ pageSize, pageToken }) => [pageSize, pageToken])).toEqual([
        [100, ""],
        [100, "100"],
        [50, "200"],
      ]);
      expect((await run(["jobs", "list", "--limit", "2"])).err).toBe(
        "there are more; raise --limit to see them\n",
      );
      expect((await run(["jobs", "list", "--limit", "300"])).err).toBe("");
    });
  });

  it("asks for the jobs of a template, or of a version of it", async () => {
    const requests: ListJobsRequest[] = [];
    await onStage(serviceWith(1, requests), async ({ run }) => {
      await run(["jobs", "list", "--template", "poster"]);
      await run(["jobs", "list", "--template", "poster@12"]);
      expect(requests.map(({ filter }) => [filter?.template, filter?.templateVersion])).toEqual([
        ["poster", 0],
        ["poster", 12],
      ]);
      const { exitCode, err } = await run(["jobs", "list", "--template", "poster@0"]);
      expect(exitCode).toBe(2);
      expect(err).toMatch(/a name and a version such as poster@3/);
    });
  });

  it("says that there are none", async () => {
    await onStage(serviceWith(0), async ({ run }) => {
      expect(await run(["jobs", "list"])).toEqual({ exitCode: 0, out: "", err: "no such jobs\n" });
      expect(await run(["jobs", "list", "--json"])).toEqual({ exitCode: 0, out: "", err: "" });
    });
  });

  it("sends every condition", async () => {
    const requests: ListJobsRequest[] = [];
    await onStage(serviceWith(0, requests), async ({ run }) => {
      const flags =
        "--state queued --state Running -l team=web --label draft= --since 2026-01-02T00:00:00Z --until 1h " +
        `--batch ${jobIdOf(9)}`;
      const { exitCode, err } = await run(["jobs", "list", ...flags.split(" ")]);
      expect(exitCode, err).toBe(0);
      const { filter } = requests[0] ?? {};
      expect(filter).toMatchObject({
        states: [JobState.QUEUED, JobState.RUNNING],
        labels: { team: "web", draft: "" },
        batchId: jobIdOf(9),
      });
      expect(filter?.createTimeFrom && timestampDate(filter.createTimeFrom).toISOString()).toBe(
        "2026-01-02T00:00:00.000Z",
      );
      const untilMs = filter?.createTimeBefore ? timestampDate(filter.createTimeBefore).getTime() : 0;
      expect(Math.abs(Date.now() - 3_600_000 - untilMs)).toBeLessThan(60_000);
    });
  });

  it.each([
    [["--state", "done"], /Allowed choices are queued, running/],
    [["--since", "yesterday"], /2026-03-01T12:00:00Z/],
    [["--label", "team"], /name=value/],
    [["--limit", "all"], /whole number/],
    [["more"], /too many arguments/],
  ])("refuses %j", async (args, message) => {
    const { exitCode, err, out } = await runCli(["jobs", "list", ...args]);
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: "" });
    expect(err).toMatch(message);
  });
});
