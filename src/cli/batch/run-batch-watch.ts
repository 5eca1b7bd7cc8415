import type { Batch } from "../../../gen/comfyrpc/v1/batch_pb.js";
import type { Image } from "../../../gen/comfyrpc/v1/image_pb.js";
import { type JobEvent, JobEventSchema } from "../../../gen/comfyrpc/v1/job_event_pb.js";
import type { Output } from "../../../gen/comfyrpc/v1/output_pb.js";
import { type Clock, systemClock } from "../../lib/clock.ts";
import { DeliveryError } from "../delivery-error.ts";
import { jsonLine } from "../event-json.ts";
import type { ExitCode } from "../exit-code.ts";
import { ImageSaver, type Saving } from "../image-saver.ts";
import type { CliContext } from "../io.ts";
import type { WatchClients } from "../jobs/run-watch.ts";
import { lostNotice } from "../lost-notice.ts";
import { plainText } from "../plain-text.ts";
import { type Contact, reportFailures } from "../report-failures.ts";
import type { ResumePolicy } from "../resumed.ts";
import { writeLines } from "../write-lines.ts";
import { BatchBoard } from "./batch-board.ts";
import { createBatchView } from "./batch-view.ts";
import { watchBatch } from "./watch-batch.ts";

/** What to watch, and what to do meanwhile. */
export interface BatchWatchOptions {
  readonly batchId: string;
  /** Where to save the images: a directory. Absent: nowhere. */
  readonly saving?: Saving;
  /** Write events as lines of JSON to standard output, and only errors to standard error. */
  readonly json: boolean;
  /** Write only errors to standard error. */
  readonly quiet: boolean;
  /** The service, as it is named to people. */
  readonly serverName: string;
}

/**
 * Watches the jobs of a batch until all have ended, over lost connections too, and saves their images if asked. Says of
 * each how it ended, and at the end, on standard output, which files there are or which ids the images have. Aborting
 * `context.signal` leaves the jobs alone and ends with 130.
 */
export async function runBatchWatch(
  clients: WatchClients,
  options: BatchWatchOptions,
  context: CliContext,
  clock: Clock = systemClock,
): Promise<ExitCode> {
  const { serverName, json, batchId } = options;
  const stoppedLines = () => [
    "stopped watching; the jobs go on, to see the rest:",
    `  comfyrpc batch watch ${plainText(batchId)}`,
  ];
  const run = new BatchWatchRun(clients, options, context, clock);
  return await reportFailures(context, { serverName, json, stoppedLines }, (contact) => run.watch(contact));
}

class BatchWatchRun {
  readonly #clients: WatchClients;
  readonly #options: BatchWatchOptions;
  readonly #context: CliContext;
  readonly #clock: Clock;
  readonly #assetIds: string[] = [];
  #savers: ReadonlyMap<string, ImageSaver> | undefined;

  constructor(clients: WatchClients, options: BatchWatchOptions, context: CliContext, clock: Clock) {
    this.#clients = clients;
    this.#options = options;
    this.#context = context;
    this.#clock = clock;
  }

  async watch(contact: Contact): Promise<ExitCode> {
    const { batchId, json, quiet } = this.#options;
    // Asked first, so that a wrong address or id is told at once, where a lost connection would be waited for.
    const { batch } = await this.#clients.jobs.getBatch({ batchId }, this.#context.signal);
    contact.hasAnswered = true;
    if (!batch) throw new DeliveryError("the service said nothing about the batch");
    const board = new BatchBoard(batch);
    try {
      await this.#follow(batch, board);
    } finally {
      this.#writeResults();
    }
    if (!json && !quiet) writeLines(this.#context, [board.summary]);
    return board.exitCode;
  }

  async #follow(batch: Batch, board: BatchBoard): Promise<void> {
    const { batchId, json, quiet } = this.#options;
    using view = createBatchView(this.#context, this.#clock, board.progress, quiet || json);
    const onLost = json ? lostNotice(this.#context) : () => view.showLost(board.progress);
    this.#savers = this.#openSavers(batch, { onLost });
    const watched = { batchId, jobIds: batch.jobs.map(({ jobId }) => jobId) };
    for await (const event of watchBatch(this.#clients.jobs, watched, { onLost }, this.#context.signal)) {
      if (json) this.#context.stdout.write(jsonLine(JobEventSchema, event));
      const saver = this.#savers?.get(event.jobId);
      for (const image of imagesOf(event)) await saver?.save(image, this.#context.signal);
      for (const output of outputsOf(event)) await saver?.saveOutput(output, this.#context.signal);
      if (event.event.case === "completed") {
        const things = [...imagesOf(event), ...outputsOf(event)];
        this.#assetIds.push(...things.map(({ assetId }) => plainText(assetId)));
      }
      const lines = board.accept(event);
      view.show(board.progress, lines);
    }
  }

  #openSavers({ jobs }: Batch, policy: ResumePolicy): ReadonlyMap<string, ImageSaver> | undefined {
    const { saving } = this.#options;
    if (!saving) return undefined;
    return new Map(
      jobs.map(({ jobId, resolvedSpec }) => {
        const { prompt = "", imageCount = 1 } = resolvedSpec ?? {};
        return [jobId, new ImageSaver(this.#clients.assets, saving, { prompt, imageCount }, policy)];
      }),
    );
  }

  #writeResults(): void {
    const files = this.#savers && [...this.#savers.values()].flatMap(({ paths }) => paths);
    const { stdout } = this.#context;
    if (!this.#options.json) for (const line of files ?? this.#assetIds) stdout.write(`${line}\n`);
    else if (files) stdout.write(`${JSON.stringify({ files })}\n`);
  }
}

/** The images that `event` tells of: the one that is there, or at the end all of them. */
function imagesOf({ event }: JobEvent): readonly Image[] {
  if (event.case === "completed") return event.value.result?.images ?? [];
  return event.case === "image" && event.value.image ? [event.value.image] : [];
}

/** The same of what there is beside images. */
function outputsOf({ event }: JobEvent): readonly Output[] {
  if (event.case === "completed") return event.value.result?.outputs ?? [];
  return event.case === "output" && event.value.output ? [event.value.output] : [];
}
