import type { Logger } from "../../telemetry/logger.ts";
import type { Output } from "../engine.ts";
import { type ComfyUiClient, NoAnswerError } from "./client.ts";
import type { Settings } from "./options.ts";
import type { PromptState } from "./prompt-state.ts";
import type { PromptRecord } from "./record.ts";
import type { RunControl } from "./run-control.ts";
import type { Wakeup } from "./wakeup.ts";

export interface HarvestDependencies {
  readonly client: Pick<ComfyUiClient, "record">;
  readonly settings: Pick<Settings, "recordTimeoutMs">;
  readonly logger: Logger;
  readonly control: RunControl;
  readonly state: PromptState;
  /** Rung when `state` or `control` have changed. */
  readonly wakeup: Wakeup;
  /** Whether events of the prompt may still come. */
  readonly isLive: () => boolean;
  /** Milliseconds that never go back. */
  readonly nowMs: () => number;
}

/** Longest wait, after a prompt's end, for its last event, which says that its record is there. */
const closeTimeoutMs = 1_000;
/** Longest time to read the record of a prompt that was stopped before: it only tells whether the work was done. */
const stoppedRecordTimeoutMs = 1_000;
const firstPauseMs = 10;
const longestPauseMs = 500;

/** Gathers what a prompt has left on the backend when it is over. Throws when there is nothing to wait for any more. */
export class PromptHarvest {
  readonly #promptId: string;
  readonly #deps: HarvestDependencies;

  constructor(promptId: string, deps: HarvestDependencies) {
    this.#promptId = promptId;
    this.#deps = deps;
  }

  /**
   * The outputs of a prompt that has ended well: those in its record, read now unless it is `known`, and those that only
   * events told about, as a cached node's may be missing in the record.
   */
  async outputs(known: PromptRecord | undefined): Promise<readonly Output[]> {
    const { state, logger } = this.#deps;
    if (known === undefined) {
      await this.#waitUntilClosed();
    }
    const record = known ?? (await this.record());
    const seen = state.seenOutputs;
    if (record === undefined) {
      logger.warn({ promptId: this.#promptId }, "record is missing; going by events");
      return seen;
    }
    state.markStarted(record.cachedNodeIds);
    const recorded = new Set(record.outputs.map(({ nodeId }) => nodeId));
    return [...record.outputs, ...seen.filter(({ nodeId }) => !recorded.has(nodeId))];
  }

  /**
   * The record of a prompt that has ended. It may come a little after the end; `undefined` if it does not come in time.
   * A stop ends the reading: nobody wants the record then.
   */
  async record(): Promise<PromptRecord | undefined> {
    const { control, settings, wakeup } = this.#deps;
    const patienceMs = control.stopped ? stoppedRecordTimeoutMs : Number.POSITIVE_INFINITY;
    const timeout = AbortSignal.timeout(Math.min(settings.recordTimeoutMs, patienceMs));
    const noLonger = AbortSignal.any([control.untilStop(), timeout]);
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      const record = await this.#tryRecord(noLonger);
      control.giveUp.throwIfAborted();
      if (record !== undefined || noLonger.aborted) {
        return record;
      }
      await wakeup.wait(pauseMs);
    }
  }

  async #tryRecord(noLonger: AbortSignal): Promise<PromptRecord | undefined> {
    try {
      return await this.#deps.client.record(this.#promptId, noLonger);
    } catch (error) {
      if (noLonger.aborted || error instanceof NoAnswerError) {
        return undefined; // the caller asks again, or has no more time
      }
      throw error;
    }
  }

  async #waitUntilClosed(): Promise<void> {
    const { control, state, wakeup, isLive, nowMs } = this.#deps;
    const deadlineMs = nowMs() + closeTimeoutMs;
    while (!state.closed && isLive() && !control.giveUp.aborted && nowMs() < deadlineMs) {
      await wakeup.wait(deadlineMs - nowMs());
    }
  }
}
