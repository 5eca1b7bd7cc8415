import type { Image } from "../../../gen/comfyrpc/v1/image_pb.js";
import { type JobEvent, JobEventSchema } from "../../../gen/comfyrpc/v1/job_event_pb.js";
import type { Job } from "../../../gen/comfyrpc/v1/job_pb.js";
import type { Output } from "../../../gen/comfyrpc/v1/output_pb.js";
import { type Clock, systemClock } from "../../lib/clock.ts";
import type { AssetClient } from "../asset-client.ts";
import { createProgressView } from "../create-progress-view.ts";
import { DeliveryError } from "../delivery-error.ts";
import { failureLines } from "../describe-error.ts";
import { jsonLine } from "../event-json.ts";
import { type ExitCode, exitCodeOfJob } from "../exit-code.ts";
import { ImageSaver, type Saving } from "../image-saver.ts";
import type { CliContext } from "../io.ts";
import type { JobClient } from "../job-client.ts";
import { lostNotice } from "../lost-notice.ts";
import { assertNotTaken } from "../output-target.ts";
import { plainText } from "../plain-text.ts";
import { PreviewFiles } from "../preview-files.ts";
import { type Contact, reportFailures } from "../report-failures.ts";
import { rpcErrorOf } from "../rpc-error.ts";
import { summaryLines } from "../summary.ts";
import { writeLines } from "../write-lines.ts";
import { assertFormat } from "./assert-format.ts";
import { type JobOutcome, outcomeOfEvent, outcomeOfJob } from "./job-outcome.ts";
import { watchJob } from "./watch-job.ts";

/** The services that a watcher asks. */
export interface WatchClients {
  readonly jobs: JobClient;
  readonly assets: AssetClient;
}

/** What to watch, and what to do meanwhile. */
export interface WatchOptions {
  readonly jobId: string;
  /** Number of the last event to leave out; 0 for none. */
  readonly afterSequence: bigint;
  /** Where to save the images; absent: nowhere. */
  readonly saving?: Saving;
  /** Where to save previews; absent: nowhere. The job says whether there are any. */
  readonly previewDirectory?: string;
  /** Write events as lines of JSON to standard output, and only errors to standard error. */
  readonly json: boolean;
  /** Write only errors to standard error. */
  readonly quiet: boolean;
  /** The service, as it is named to people. */
  readonly serverName: string;
}

/**
 * Watches a job to its end, over lost connections too, and saves its images and outputs if asked. Standard output gets
 * the names of the files, or without any the ids of the images and outputs. Aborting `context.signal` leaves the job alone and ends with 130.
 */
export async function runWatch(
  clients: WatchClients,
  options: WatchOptions,
  context: CliContext,
  clock: Clock = systemClock,
): Promise<ExitCode> {
  const run = new WatchRun(clients, options, context, clock);
  const { serverName, json } = options;
  const failure = { serverName, json, stoppedLines: () => run.stoppedLines() };
  return await reportFailures(context, failure, (contact) => run.watch(contact));
}

class WatchRun {
  readonly #clients: WatchClients;
  readonly #options: WatchOptions;
  readonly #context: CliContext;
  readonly #clock: Clock;
  #sequence: bigint;

  constructor(clients: WatchClients, options: WatchOptions, context: CliContext, clock: Clock) {
    this.#clients = clients;
    this.#options = options;
    this.#context = context;
    this.#clock = clock;
    this.#sequence = options.afterSequence;
  }

  async watch(contact: Contact): Promise<ExitCode> {
    const { jobId } = this.#options;
    // Asked first, so that a wrong address or id is told at once, where a lost connection would be waited for.
    const { job } = await this.#clients.jobs.getJob({ jobId }, this.#context.signal);
    contact.hasAnswered = true;
    if (!job) throw new DeliveryError("the service said nothing about the job");
    const saver = await this.#openSaver(job);
    try {
      const outcome = await this.#follow(job, saver);
      for (const image of outcome.result?.images ?? []) await saver?.save(image, this.#context.signal);
      for (const output of outcome.result?.outputs ?? []) {
        await saver?.saveOutput(output, this.#context.signal);
      }
      this.#report(outcome, saver !== undefined);
      return exitCodeOfJob(outcome.state);
    } finally {
      this.#writeFiles(saver?.paths);
    }
  }

  stoppedLines(): string[] {
    const after = this.#sequence > 0n ? ` --after ${this.#sequence}` : "";
    const id = plainText(this.#options.jobId);
    return ["stopped watching; the job goes on, to see the rest:", `  comfyrpc jobs watch ${id}${after}`];
  }

  async #openSaver({ resolvedSpec }: Job): Promise<ImageSaver | undefined> {
    const { saving, json, quiet } = this.#options;
    if (!saving) return undefined;
    const { prompt = "", imageCount = 1 } = resolvedSpec ?? {};
    assertFormat(saving.target, resolvedSpec?.output?.format);
    if (!saving.overwrite) await assertNotTaken(saving.target, imageCount);
    const onLost = quiet || json ? () => {} : lostNotice(this.#context);
    return new ImageSaver(this.#clients.assets, saving, { prompt, imageCount }, { onLost });
  }

  async #follow(job: Job, saver: ImageSaver | undefined): Promise<JobOutcome> {
    // Nothing comes after the last event, not even a sign that it was the last.
    const known = this.#sequence === job.lastSequence ? outcomeOfJob(job) : undefined;
    if (known) return known;
    const { jobId, previewDirectory, json, quiet, serverName } = this.#options;
    const { signal } = this.#context;
    const { prompt = "", seed } = job.resolvedSpec ?? {};
    const previews =
      previewDirectory === undefined ? undefined : new PreviewFiles(previewDirectory, prompt, seed);
    using view = createProgressView({ serverName, io: this.#context, clock: this.#clock }, quiet || json);
    const onLost = json ? lostNotice(this.#context) : () => view.showLost();
    const from = { jobId, afterSequence: this.#sequence };
    for await (const event of watchJob(this.#clients.jobs, from, { onLost }, signal)) {
      if (json) this.#writeJson(event);
      view.show(event);
      await previews?.accept(event);
      const image = imageOf(event);
      if (image) await saver?.save(image, signal);
      const output = outputOf(event);
      if (output) await saver?.saveOutput(output, signal);
      this.#sequence = event.sequence;
      const outcome = outcomeOfEvent(event);
      if (outcome) return outcome;
    }
    throw new DeliveryError("the service told of no end of the job");
  }

  #writeFiles(files: readonly string[] | undefined): void {
    const { stdout } = this.#context;
    if (!this.#options.json) for (const file of files ?? []) stdout.write(`${file}\n`);
    else if (files) stdout.write(`${JSON.stringify({ files })}\n`);
  }

  #report({ result, error }: JobOutcome, isSaved: boolean): void {
    const { json, quiet } = this.#options;
    if (json) return;
    const things = [...(result?.images ?? []), ...(result?.outputs ?? [])];
    if (!isSaved) for (const { assetId } of things) this.#context.stdout.write(`${plainText(assetId)}\n`);
    if (error) writeLines(this.#context, failureLines(rpcErrorOf(error)));
    else if (result && !quiet) writeLines(this.#context, summaryLines(result));
  }

  #writeJson(event: JobEvent): void {
    this.#context.stdout.write(jsonLine(JobEventSchema, event));
  }
}

function outputOf({ event }: JobEvent): Output | undefined {
  return event.case === "output" ? event.value.output : undefined;
}

function imageOf({ event }: JobEvent): Image | undefined {
  return event.case === "image" ? event.value.image : undefined;
}
