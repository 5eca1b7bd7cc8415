import type { ResolvedTask } from "../domain/generation.ts";
import { isLastEvent, type LastingEvent } from "../domain/job-event.ts";
import { hasEnded, type JobRecord } from "../domain/job-record.ts";
import type { EventBus } from "../storage/event-bus.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { RunTimes } from "./run-times.ts";

export interface AnnouncerDependencies {
  readonly bus: EventBus;
  readonly logger: Logger;
  readonly runTimes: RunTimes;
  /** Whether prompts may be written to the log. */
  readonly logPrompts: boolean;
}

/** Tells the watchers, the log and whoever learns from it what has been written to the store: never before it is there. */
export class Announcer {
  readonly #deps: AnnouncerDependencies;

  constructor(deps: AnnouncerDependencies) {
    this.#deps = deps;
  }

  /** `events` were written to a job, in this order, `record` is what it is after that, if known. */
  recorded(jobId: string, events: readonly LastingEvent[], record?: JobRecord): void {
    const last = events.at(-1);
    if (last === undefined) {
      return;
    }
    this.#deps.bus.publish({ type: "recorded", jobId, lastSequence: last.sequence, events });
    if (isLastEvent(last)) {
      if (record !== undefined) {
        this.#deps.runTimes.learn(record);
      }
      this.#logEnd(jobId, last, record);
    }
  }

  /** Jobs were accepted, and wait unless they have ended already. */
  accepted(records: readonly JobRecord[], requestId: string): void {
    for (const record of records) {
      this.#deps.logger.debug({ jobId: record.id, requestId, ...this.#facts(record) }, "job accepted");
    }
    if (!records.every(hasEnded)) {
      this.queued();
    }
  }

  /** Jobs wait for a backend. */
  queued(): void {
    this.#deps.bus.publish({ type: "queued" });
  }

  /** A job that a backend runs has to stop. */
  stopRequested({ id, attempt }: JobRecord): void {
    if (attempt !== undefined) {
      this.#deps.bus.publish({ type: "stopRequested", jobId: id, backend: attempt.backend });
    }
  }

  #logEnd(jobId: string, { data, time }: LastingEvent, record: JobRecord | undefined): void {
    const { logger } = this.#deps;
    const failure = data.type === "failed" ? data.failure : undefined;
    const facts = {
      jobId,
      state: data.type === "failed" ? data.state : "succeeded",
      ...(failure && { reason: failure.reason }),
      ...(record && {
        ...this.#facts(record),
        attempts: record.attempt?.number ?? 0,
        totalMs: time.getTime() - record.createTime.getTime(),
      }),
    };
    if (data.type === "failed" && data.state === "failed") {
      logger.warn({ ...facts, failure: failure?.message, nodes: failure?.details.nodes }, "job failed");
    } else {
      logger.info(facts, "job ended");
    }
  }

  #facts({ generation, requestId, batch }: JobRecord) {
    const { task, ...settings } = generation;
    return {
      ...(requestId !== "" && { jobRequestId: requestId }),
      ...(batch && { batchId: batch.id }),
      ...settings,
      ...factsOfTask(task, this.#deps.logPrompts),
    };
  }
}

/** What a log says of a task: all but prompts, unless they are asked for, and what may be long or hold some. */
function factsOfTask(task: ResolvedTask, logPrompts: boolean): Record<string, unknown> {
  switch (task.type) {
    case "picture": {
      const { type, prompt, negativePrompt, seed, ...parameters } = task;
      return {
        task: type,
        ...parameters,
        seed: `${seed}`,
        ...(logPrompts && { prompt, negativePrompt }),
      };
    }
    case "upscale": {
      const { type, ...parameters } = task;
      return { task: type, ...parameters };
    }
    case "workflow":
      return { task: task.type, inputImages: Object.values(task.images).map(({ assetId }) => assetId) };
    case "template": {
      const { type, name, version, parameters } = task;
      return { task: type, template: name, templateVersion: version, ...(logPrompts && { parameters }) };
    }
  }
}
