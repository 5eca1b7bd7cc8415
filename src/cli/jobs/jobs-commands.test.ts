import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { JobState } from "../../../gen/comfyrpc/v1/job_state_pb.js";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.js";
import { onStage } from "../testing/on-stage.ts";
import { runCli } from "../testing/run-cli.ts";
import { jobIdOf, jobOf } from "../testing/staged-jobs.ts";
import { startStagedService } from "../testing/staged-service.ts";

function refusal(code: Code, reason: string): ConnectError {
  return new ConnectError("no", code, undefined, [{ desc: ErrorInfoSchema, value: { reason } }]);
}

const notFound = refusal(Code.NotFound, "JOB_NOT_FOUND");

describe("jobs get", () => {
  it("shows a job, or writes it as a line of JSON", async () => {
    const asked: string[] = [];
    const getJob = ({ jobId }: { jobId: string }) => {
      asked.push(jobId);
      return { job: jobOf(1, { labels: { team: "web" } }) };
    };
    await onStage({ getJob }, async ({ run }) => {
      const { out, err, exitCode } = await run(["jobs", "get", jobIdOf(1)]);
      expect({ err, exitCode }).toEqual({ err: "", exitCode: 0 });
      expect(out).toMatch(/^job {9}0b5c7a30.*\nstate {7}queued\n/);
      const json = await run(["jobs", "get", jobIdOf(1), "--json"]);
      expect(json.out.indexOf("\n")).toBe(json.out.length - 1);
      expect(JSON.parse(json.out)).toMatchObject({ state: "JOB_STATE_QUEUED", labels: { team: "web" } });
      expect(asked).toEqual([jobIdOf(1), jobIdOf(1)]);
    });
  });

  it("ends with 6 if there is none", async () => {
    const getJob = () => {
      throw notFound;
    };
    await onStage({ getJob }, async ({ run }) => {
      const outcome = await run(["jobs", "get", jobIdOf(1)]);
      expect(outcome).toEqual({ exitCode: 6, out: "", err: "error: JOB_NOT_FOUND: no\n" });
      const { out } = await run(["jobs", "get", jobIdOf(1), "--json"]);
      expect(JSON.parse(out)).toEqual({
        error: { code: "NOT_FOUND", reason: "JOB_NOT_FOUND", message: "no" },
      });
    });
  });

  it("ends with 3 if nobody is there", async () => {
    const gone = await startStagedService({});
    await gone[Symbol.asyncDispose]();
    const { exitCode, err } = await runCli(["jobs", "get", jobIdOf(1), "--server", gone.address]);
    expect(exitCode).toBe(3);
    expect(err).toContain("cannot reach the service");
  });
});

describe("jobs cancel", () => {
  const cancelJob = ({ jobId }: { jobId: string }) => {
    if (jobId === jobIdOf(1)) {
      return { job: jobOf(1, { state: JobState.CANCELLED }), foundState: JobState.QUEUED };
    }
    if (jobId === jobIdOf(2)) {
      return { job: jobOf(2, { state: JobState.CANCELLING }), foundState: JobState.RUNNING };
    }
    if (jobId === jobIdOf(3)) {
      return { job: jobOf(3, { state: JobState.SUCCEEDED }), foundState: JobState.SUCCEEDED };
    }
    throw notFound;
  };

  it("says in which state each job was found", async () => {
    await onStage({ cancelJob }, async ({ run }) => {
      const outcome = await run(["jobs", "cancel", jobIdOf(1), jobIdOf(2), jobIdOf(3)]);
      expect(outcome).toEqual({
        exitCode: 0,
        out: [
          `${jobIdOf(1)}  was queued, is cancelled`,
          `${jobIdOf(2)}  was running, is cancelling`,
          `${jobIdOf(3)}  had ended: succeeded`,
          "",
        ].join("\n"),
        err: "",
      });
    });
  });

  it("goes on after one that there is not, and ends with its exit code", async () => {
    await onStage({ cancelJob }, async ({ run }) => {
      const { exitCode, out, err } = await run(["jobs", "cancel", jobIdOf(8), jobIdOf(1)]);
      expect(exitCode).toBe(6);
      expect(err).toBe(`${jobIdOf(8)}:\nerror: JOB_NOT_FOUND: no\n`);
      expect(out).toBe(`${jobIdOf(1)}  was queued, is cancelled\n`);
    });
  });

  it("writes each answer as a line of JSON", async () => {
    await onStage({ cancelJob }, async ({ run }) => {
      const { out } = await run(["jobs", "cancel", "--json", jobIdOf(2)]);
      expect(JSON.parse(out)).toMatchObject({
        job: { state: "JOB_STATE_CANCELLING" },
        foundState: "JOB_STATE_RUNNING",
      });
    });
  });

  it("does not ask on when nobody is there", async () => {
    const gone = await startStagedService({});
    await gone[Symbol.asyncDispose]();
    const args = ["jobs", "cancel", jobIdOf(1), jobIdOf(2), "--server", gone.address];
    const { exitCode, err } = await runCli(args);
    expect(exitCode).toBe(3);
    expect(err.match(/cannot reach/g)).toHaveLength(1);
  });
});

describe("jobs delete", () => {
  it("deletes those that have ended, and tells of the others", async () => {
    const deleteJob = ({ jobId }: { jobId: string }) => {
      if (jobId === jobIdOf(2)) throw refusal(Code.FailedPrecondition, "JOB_ACTIVE");
      return {};
    };
    await onStage({ deleteJob }, async ({ run }) => {
      const outcome = await run(["jobs", "delete", jobIdOf(1), jobIdOf(2), jobIdOf(3)]);
      expect(outcome).toEqual({
        exitCode: 1,
        out: `${jobIdOf(1)}  deleted\n${jobIdOf(3)}  deleted\n`,
        err: `${jobIdOf(2)}:\nerror: JOB_ACTIVE: no\n`,
      });
    });
  });
});

describe("jobs", () => {
  it("shows its subcommands when it is given none, and refuses others", async () => {
    const alone = await runCli(["jobs"]);
    expect(alone).toMatchObject({ exitCode: 2, out: "" });
    expect(alone.err).toMatch(/list .*\n.*get .*\n.*watch .*\n.*provenance .*\n.*cancel .*\n.*delete /);
    const wrong = await runCli(["jobs", "cancle"]);
    expect(wrong.exitCode).toBe(2);
    expect(wrong.err).toContain("Did you mean cancel?");
    expect((await runCli(["jobs", "cancel"])).err).toContain("missing required argument 'id'");
  });
});
