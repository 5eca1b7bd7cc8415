import type { GenerationSpec } from "../../gen/comfyrpc/v1/generation_pb.js";
import { type JobEvent, JobEventSchema } from "../../gen/comfyrpc/v1/job_event_pb.js";
import { type GenerationResult, GenerationResultSchema } from "../../gen/comfyrpc/v1/result_pb.js";
import { type Clock, systemClock } from "../lib/clock.ts";
import type { AssetClient } from "./asset-client.ts";
import { createProgressView } from "./create-progress-view.ts";
import { DeliveryError } from "./delivery-error.ts";
import { errorJson, errorLines } from "./describe-error.ts";
import { jsonLine, toJsonValue } from "./event-json.ts";
import { ExitCode, exitCodeOf } from "./exit-code.ts";
import { isExplained } from "./explained-error.ts";
import { GivenNames } from "./given-names.ts";
import type { ImageClient } from "./image-client.ts";
import { ImageReceiver } from "./image-receiver.ts";
import { ImageSaver } from "./image-saver.ts";
import type { CliIo } from "./io.ts";
import type { JobRequest } from "./job-options.ts";
import { lostNotice } from "./lost-notice.ts";
import { assertNotTaken, type OutputTarget } from "./output-target.ts";
import { plainText } from "./plain-text.ts";
import { PreviewFiles } from "./preview-files.ts";
import { subjectOf } from "./subject-of.ts";
import { summaryLines } from "./summary.ts";
import { writeLines } from "./write-lines.ts";

/** What to do with a generation beside drawing it. */
export interface GenerateOptions {
  readonly target: OutputTarget;
  /** Whether files that exist are replaced. If not, one named by the user is refused, others get a new name. */
  readonly overwrite: boolean;
  /** Where to save previews; absent: nowhere. The spec says whether there are any. */
  readonly previewDirectory?: string;
  /** Longest time the call may take, in milliseconds. Absent: no limit. */
  readonly timeoutMs?: number;
  /** Write events, files and result as lines of JSON to standard output, and only errors to standard error. */
  readonly json: boolean;
  /** Write only errors to standard error. */
  readonly quiet: boolean;
  /** The service, as it is named to people. */
  readonly serverName: string;
  /** What to ask of the job beside drawing. Default: nothing. */
  readonly job?: JobRequest;
  /** Where to fetch what a workflow leaves beside images, to be saved with them. Default: it is not. */
  readonly assets?: AssetClient;
}

/**
 * Draws `spec`, shows how it goes, saves the images, and says what was made. Aborting `signal` cancels the job unless the
 * spec detaches it, also on the backend, and ends with 130. Only whole images are left on the disk, however it ends.
 *
 * Failures that can be explained are written to standard error and become an exit code; others are thrown.
 */
export async function runGenerate(
  client: ImageClient,
  spec: GenerationSpec,
  options: GenerateOptions,
  io: CliIo,
  signal: AbortSignal,
  clock: Clock = systemClock,
): Promise<ExitCode> {
  const run = new GenerateRun(client, spec, options, io, clock);
  try {
    run.report(await run.draw(signal));
    return ExitCode.ok;
  } catch (error) {
    if (!isExplained(error)) throw error;
    return run.reportFailure(error, signal.aborted);
  }
}

class GenerateRun {
  readonly #client: ImageClient;
  readonly #spec: GenerationSpec;
  readonly #options: GenerateOptions;
  readonly #io: CliIo;
  readonly #clock: Clock;
  readonly #images: ImageReceiver;
  readonly #previews: PreviewFiles | undefined;
  readonly #outputs: ImageSaver | undefined;
  #jobId: string | undefined;

  constructor(client: ImageClient, spec: GenerationSpec, options: GenerateOptions, io: CliIo, clock: Clock) {
    this.#client = client;
    this.#spec = spec;
    this.#options = options;
    this.#io = io;
    this.#clock = clock;
    const { target, overwrite, previewDirectory, assets, quiet, json } = options;
    const { imageCount = 1 } = spec;
    const prompt = subjectOf(spec);
    const onLost = quiet || json ? () => {} : lostNotice(io);
    const saving = { target, overwrite, names: new GivenNames() };
    this.#outputs = assets && new ImageSaver(assets, saving, { prompt, imageCount }, { onLost });
    this.#images = new ImageReceiver({ ...saving, prompt, imageCount });
    this.#previews = previewDirectory === undefined ? undefined : new PreviewFiles(previewDirectory, prompt);
  }

  async draw(signal: AbortSignal): Promise<GenerationResult> {
    const { target, overwrite, serverName, json, quiet, timeoutMs } = this.#options;
    if (!overwrite) await assertNotTaken(target, this.#spec.imageCount ?? 1);
    await using images = this.#images;
    using view = createProgressView({ serverName, io: this.#io, clock: this.#clock }, quiet || json);
    const call = timeoutMs === undefined ? {} : { timeoutMs };
    const request = { spec: this.#spec, ...this.#options.job };
    for await (const { event } of this.#client.generateWithProgress(request, call, signal)) {
      if (!event) continue;
      this.#jobId = event.jobId;
      if (json) this.#writeJson(event);
      view.show(event);
      await this.#previews?.accept(event);
      await images.accept(event);
      if (event.event.case === "output" && event.event.value.output) {
        await this.#outputs?.saveOutput(event.event.value.output, signal);
      }
      if (event.event.case === "completed" && event.event.value.result) return event.event.value.result;
    }
    throw new DeliveryError("the service ended the job without a result");
  }

  report(result: GenerationResult): void {
    const { json, quiet } = this.#options;
    const files = this.#files;
    const previews = this.#previews?.paths;
    if (json) {
      const last = {
        files,
        ...(previews ? { previews } : {}),
        result: toJsonValue(GenerationResultSchema, result),
      };
      this.#io.stdout.write(`${JSON.stringify(last)}\n`);
      return;
    }
    for (const file of files) this.#io.stdout.write(`${file}\n`);
    if (!quiet) writeLines(this.#io, [...summaryLines(result), ...this.#previewLines()]);
  }

  /** Says what went wrong; a failure after an abort is no failure but what was asked for. */
  reportFailure(error: Error, isAborted: boolean): ExitCode {
    const { json, serverName } = this.#options;
    if (json) this.#io.stdout.write(`${JSON.stringify({ error: errorJson(error) })}\n`);
    const lines = isAborted
      ? this.#stoppedLines()
      : errorLines(error, { serverName, hasAnswered: this.#jobId !== undefined });
    writeLines(this.#io, [...lines, ...this.#keptLines()]);
    return isAborted ? ExitCode.cancelled : exitCodeOf(error);
  }

  #stoppedLines(): string[] {
    if (this.#spec.detach && this.#jobId !== undefined) {
      return [
        "stopped waiting; the job goes on, to see it:",
        `  comfyrpc jobs watch ${plainText(this.#jobId)}`,
      ];
    }
    return [
      `cancelled; the service stops the work${this.#options.job?.requestId ? " unless you come back soon" : ""}`,
    ];
  }

  #previewLines(): string[] {
    const count = this.#previews?.paths.length ?? 0;
    return count > 0 ? [`${count} previews in ${this.#options.previewDirectory}`] : [];
  }

  #keptLines(): string[] {
    return this.#files.map((path) => `finished before that: ${path}`);
  }

  get #files(): readonly string[] {
    return [...this.#images.paths, ...(this.#outputs?.paths ?? [])];
  }

  #writeJson(event: JobEvent): void {
    // A chunk is nothing but bytes, which are left out.
    if (event.event.case !== "imageChunk") this.#io.stdout.write(jsonLine(JobEventSchema, event));
  }
}
