import { durationMs } from "@bufbuild/protobuf/wkt";
import type { Batch } from "../../../gen/comfyrpc/v1/batch_pb.js";
import type { JobEvent } from "../../../gen/comfyrpc/v1/job_event_pb.js";
import type { Job } from "../../../gen/comfyrpc/v1/job_pb.js";
import { JobState } from "../../../gen/comfyrpc/v1/job_state_pb.js";
import { failureLines } from "../describe-error.ts";
import { ExitCode, exitCodeOfJob } from "../exit-code.ts";
import { formatDuration } from "../format-duration.ts";
import { type JobOutcome, outcomeOfEvent } from "../jobs/job-outcome.ts";
import { nameOfState, stateNames, stateOfName } from "../jobs/job-states.ts";
import { plainText } from "../plain-text.ts";
import type { ProgressState } from "../progress-state.ts";
import { rpcErrorOf } from "../rpc-error.ts";
import { shorten } from "../shorten.ts";

/** How the jobs of a batch go, as their events tell. */
export class BatchBoard {
  readonly #jobs: ReadonlyMap<string, Job>;
  readonly #fractions = new Map<string, number>();
  readonly #outcomes = new Map<string, JobOutcome>();

  constructor({ jobs }: Batch) {
    this.#jobs = new Map(jobs.map((job) => [job.jobId, job]));
  }

  /** Takes in `event`, and returns lines for people if it ends its job. */
  accept(event: JobEvent): string[] {
    const { jobId } = event;
    const outcome = outcomeOfEvent(event);
    if (outcome) {
      this.#fractions.delete(jobId);
      this.#outcomes.set(jobId, outcome);
      return this.#endLines(jobId, outcome);
    }
    if (event.event.case === "started") this.#fractions.set(jobId, 0);
    if (event.event.case === "queued") this.#fractions.delete(jobId);
    if (event.event.case === "progress") this.#fractions.set(jobId, event.event.value.fraction);
    return [];
  }

  /** The whole batch in one line. */
  get progress(): ProgressState {
    const jobCount = Math.max(1, this.#jobs.size);
    const doneCount = this.#outcomes.size;
    const runningShare = [...this.#fractions.values()].reduce((sum, fraction) => sum + fraction, 0);
    const running = this.#fractions.size > 0 ? `, ${this.#fractions.size} running` : "";
    return {
      activity: `${doneCount} of ${this.#jobs.size} ended${running}`,
      isRunning: true,
      fraction: Math.min(1, (doneCount + runningShare) / jobCount),
    };
  }

  /** What became of the batch, in a line for people. */
  get summary(): string {
    const counts = stateNames
      .map((name) => ({ name, count: this.#count(stateOfName(name)) }))
      .filter(({ count }) => count > 0)
      .map(({ name, count }) => `${count} ${name}`);
    const goneCount = this.#jobs.size - this.#outcomes.size;
    const gone = goneCount > 0 ? [`${goneCount} deleted`] : [];
    return `${this.#jobs.size} ${this.#jobs.size === 1 ? "job" : "jobs"}: ${[...counts, ...gone].join(", ")}`;
  }

  /** 1 if any job failed or expired, else 7 if any was cancelled, else 0. */
  get exitCode(): ExitCode {
    const codes = new Set([...this.#outcomes.values()].map(({ state }) => exitCodeOfJob(state)));
    return [ExitCode.failed, ExitCode.jobCancelled].find((code) => codes.has(code)) ?? ExitCode.ok;
  }

  #count(state: JobState): number {
    return [...this.#outcomes.values()].filter((outcome) => outcome.state === state).length;
  }

  #endLines(jobId: string, { state, result, error }: JobOutcome): string[] {
    const job = this.#jobs.get(jobId);
    const { prompt = "", seed } = job?.resolvedSpec ?? {};
    const total = result?.timings?.total;
    const time = state === JobState.SUCCEEDED && total ? ` in ${formatDuration(durationMs(total))}` : "";
    const number = `${(job?.batchIndex ?? 0) + 1}/${this.#jobs.size}`;
    const what = shorten(plainText(prompt), 40);
    return [
      `${number}  ${nameOfState(state)}${time}  ${what}${seed === undefined ? "" : `, seed ${seed}`}`,
      ...(error ? failureLines(rpcErrorOf(error)).map((line) => `  ${line}`) : []),
    ];
  }
}
