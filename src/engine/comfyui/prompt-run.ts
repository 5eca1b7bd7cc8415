import { isServiceError, ServiceError } from "../../domain/errors.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Output, RunEvent, RunRequest } from "../engine.ts";
import { type CancelOutcome, type CancelRoutes, cancelPrompt } from "./cancel.ts";
import { type ComfyUiClient, NoAnswerError, type Submission } from "./client.ts";
import { executionError } from "./failures.ts";
import type { PromptFinder, Whereabouts } from "./look-up.ts";
import type { Settings } from "./options.ts";
import { PromptState } from "./prompt-state.ts";
import type { PromptEnd, PromptRecord } from "./record.ts";
import { RunEventQueue } from "./run-event-queue.ts";
import type { ComfyUiSocket, Registration } from "./socket.ts";
import { type SubmitOutcome, submitPrompt } from "./submit.ts";
import { Wakeup } from "./wakeup.ts";
import { Watchdog } from "./watchdog.ts";

export interface PromptRunDependencies {
  readonly client: ComfyUiClient;
  readonly finder: PromptFinder;
  readonly cancelRoutes: CancelRoutes;
  readonly socket: Pick<ComfyUiSocket, "register" | "settled">;
  readonly settings: Settings;
  readonly logger: Logger;
  /** Aborted when nothing may be waited for any more. */
  readonly lifetime: AbortSignal;
  /** Prompts that are under way on this backend. A run adds itself while it is. */
  readonly running: Set<PromptRun>;
  /** Told about every event of the prompt: the backend's worker is alive. */
  readonly onSign: () => void;
  /** Told when the backend could not be reached, and when it could again. */
  readonly onReachChange: () => void;
  /** Told when the backend shows no sign of work on the prompt. */
  readonly onStalled: () => void;
  /** Told about a prompt that may still be on the backend though nobody waits for it. */
  readonly onAbandoned: (promptId: string) => void;
}

/** Time between look-ups where events are missing. */
const quickPollMs = 250;
/** So many prompts are looked up at the full rate; if there are more, each is looked up less often. */
const fullRateCount = 16;
/** How long a submission may still take after the prompt was stopped. */
const submitPatienceMs = 1_000;
/** Longest time to cancel a prompt that is stuck anyway; one that does not stop is left to be swept later. */
const stalledCancelTimeoutMs = 5_000;
/** Longest wait, after a prompt's end, for its last event, which says that its record is there. */
const closeTimeoutMs = 1_000;
/** Longest time to read the record of a prompt that was stopped before: it only tells whether the work was done. */
const stoppedRecordTimeoutMs = 1_000;

/**
 * The life of one prompt, from before it is submitted to its proven end. Events move it on as they come; look-ups find
 * what events do not tell, so that each step also happens without any event.
 */
export class PromptRun {
  readonly #request: RunRequest;
  readonly #deps: PromptRunDependencies;
  readonly #events = new RunEventQueue();
  readonly #state = new PromptState((event) => this.#events.push(event));
  readonly #wakeup = new Wakeup();
  readonly #ended = Promise.withResolvers<void>();
  readonly #watchdog: Watchdog;
  #registration: Registration | undefined;
  /** Nobody wants the prompt any more. */
  #stopped = false;
  /** Aborted when the prompt is stopped, while something is asked for it. */
  #asking: AbortController | undefined;
  /** Aborted a while after the prompt is stopped, while it is being submitted. */
  #submitting: AbortController | undefined;
  #impatience: NodeJS.Timeout | undefined;
  /** Frames that had come over the socket when the prompt last gave a sign of life. */
  #framesAtSign = 0;
  #unreachableSinceMs: number | undefined;
  #absences = 0;
  /** The last submission had no answer that tells whether the prompt was queued. */
  #arrivalUnknown = false;
  /** The backend was found to be further on than events have told, or to have sent nothing at all. */
  #suspicious = false;

  constructor(request: RunRequest, deps: PromptRunDependencies) {
    this.#request = request;
    this.#deps = deps;
    this.#watchdog = new Watchdog(deps.settings, now);
  }

  /** Resolves when a run that has begun has ended. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Cancels the prompt. The run ends when that is proved, or cannot be. */
  stop(): void {
    if (this.#stopped) {
      return;
    }
    this.#stopped = true;
    this.#asking?.abort();
    this.#wakeup.ring();
    if (this.#submitting !== undefined) {
      this.#impatience = setTimeout(() => this.#submitting?.abort(), submitPatienceMs);
    }
  }

  /**
   * Runs the prompt, once, from when the first event is asked for. Aborting `signal` stops it, and so does leaving the
   * loop early.
   */
  async *events(signal: AbortSignal): AsyncGenerator<RunEvent, void, void> {
    const stop = () => this.stop();
    if (signal.aborted) {
      stop();
    }
    signal.addEventListener("abort", stop, { once: true });
    const { running } = this.#deps;
    const ended = this.#toEnd();
    try {
      for (let event = await this.#events.next(); event !== undefined; event = await this.#events.next()) {
        yield event;
      }
    } finally {
      signal.removeEventListener("abort", stop);
      if (running.has(this)) {
        stop();
      }
      await ended;
    }
  }

  /** Never fails itself: a failure is the end of the events. */
  async #toEnd(): Promise<void> {
    const { running, lifetime } = this.#deps;
    running.add(this);
    try {
      this.#events.push({ type: "finished", outputs: await this.#run() });
      this.#events.close();
    } catch (error) {
      this.#events.fail(lifetime.aborted ? cancelled() : error);
    } finally {
      clearTimeout(this.#impatience);
      running.delete(this);
      this.#registration?.[Symbol.dispose]();
      this.#ended.resolve();
    }
  }

  async #run(): Promise<readonly Output[]> {
    if (!this.#stopped) {
      await this.#deps.socket.settled();
    }
    if (this.#stopped) {
      throw cancelled();
    }
    // A second time only if the first left no trace on the backend, and then under the same id.
    const queued = (await this.#submit()) || this.#stopped || (await this.#submit());
    if (!queued) {
      this.#deps.onAbandoned(this.#request.promptId);
      throw new ServiceError("NO_BACKEND", "the backend does not queue the workflow; try again later", {
        retryAfterMs: 2_000,
      });
    }
    return await this.#watch();
  }

  /** Submits the prompt. Returns whether the backend has it, as far as can be found out. */
  async #submit(): Promise<boolean> {
    const { promptId, graph, previews } = this.#request;
    const { clientId } = this.#register();
    const outcome = await this.#post({ promptId, clientId, graph, previews });
    this.#arrivalUnknown = outcome.type === "unknown";
    switch (outcome.type) {
      case "accepted":
        this.#state.markQueued();
        return true;
      case "acceptedInPart":
        await this.#cancel();
        throw outcome.error;
      case "renamed":
        await this.#cancel({ promptId: outcome.promptId });
        throw new ServiceError(
          "BACKEND_PROTOCOL",
          "the backend does not keep the ids of prompts; it needs ComfyUI 0.3.45 or later",
        );
      case "unknown":
        this.#deps.logger.warn(
          { promptId, status: outcome.status },
          "not known whether the prompt was queued",
        );
        return await this.#isThere();
    }
  }

  /** A prompt that is stopped meanwhile may have arrived, but is not waited for much longer. */
  async #post(submission: Submission): Promise<SubmitOutcome> {
    const submitting = new AbortController();
    this.#submitting = submitting;
    try {
      return await submitPrompt(this.#deps.client, submission, submitting.signal);
    } catch (error) {
      if (submitting.signal.aborted) {
        return { type: "unknown", status: undefined };
      }
      if (isServiceError(error, "NO_BACKEND")) {
        this.#deps.onReachChange();
      }
      throw error;
    } finally {
      this.#submitting = undefined;
    }
  }

  /** Before the prompt is submitted, so that no event falls in between. */
  #register(): Registration {
    this.#registration?.[Symbol.dispose]();
    this.#registration = this.#deps.socket.register(this.#request.promptId, {
      onMessage: (message) => {
        this.#onSign();
        this.#state.onMessage(message);
        if (this.#state.end !== undefined || this.#state.closed) {
          this.#wakeup.ring();
        }
      },
      onPreview: (nodeId, preview) => {
        this.#onSign();
        if (this.#request.previews) {
          this.#state.onPreview(nodeId, preview);
        }
      },
      onDeaf: () => this.#wakeup.ring(),
    });
    return this.#registration;
  }

  #onSign(): void {
    this.#framesAtSign = this.#registration?.frameCount ?? 0;
    this.#watchdog.onSign();
    this.#deps.onSign();
  }

  /** Whether the prompt has reached the backend, after an answer that does not tell. */
  async #isThere(): Promise<boolean> {
    while (!this.#stopped) {
      if (this.#state.phase !== "submitting") {
        return true;
      }
      const found = await this.#lookUp();
      if (found !== undefined && found.state !== "absent") {
        this.#state.markQueued();
        return true;
      }
      if (this.#absences >= 2) {
        this.#absences = 0;
        return false;
      }
      await this.#wakeup.wait(this.#pauseMs());
    }
    return false;
  }

  /** Follows the prompt until it is over. */
  async #watch(): Promise<readonly Output[]> {
    for (;;) {
      if (this.#state.end !== undefined) {
        return await this.#conclude(this.#state.end);
      }
      if (this.#stopped) {
        return await this.#outputsOrElse(cancelled(), await this.#cancel());
      }
      if (this.#remainingMs() <= 0) {
        this.#deps.onStalled();
        return await this.#outputsOrElse(
          stalled(),
          await this.#cancel({ timeoutMs: stalledCancelTimeoutMs }),
        );
      }
      await this.#wakeup.wait(this.#pauseMs());
      if (this.#state.end === undefined && !this.#stopped) {
        const record = await this.#poll();
        if (record !== undefined) {
          return await this.#conclude(record.end, record);
        }
      }
    }
  }

  #pauseMs(): number {
    const { settings, running } = this.#deps;
    const heard = this.#registration?.live === true && this.#registration.frameCount > 0;
    const sure = this.#absences === 0 && !this.#suspicious && this.#unreachableSinceMs === undefined;
    const pauseMs = heard && sure ? settings.pollIntervalMs : Math.min(quickPollMs, settings.pollIntervalMs);
    const share = Math.ceil(running.size / fullRateCount);
    return Math.max(1, Math.min(pauseMs * share, this.#remainingMs()));
  }

  #remainingMs(): number {
    const { phase, activity } = this.#state;
    const { live = false, frameCount = 0 } = this.#registration ?? {};
    return this.#watchdog.remainingMs({
      phase,
      activity,
      live,
      socketSpeaks: frameCount > this.#framesAtSign,
    });
  }

  /** Looks the prompt up and takes over what that tells. Returns its record if it has ended. */
  async #poll(): Promise<PromptRecord | undefined> {
    const found = await this.#lookUp();
    if (found === undefined || this.#state.end !== undefined) {
      return undefined;
    }
    switch (found.state) {
      case "absent":
        if (this.#absences >= 2) {
          throw new ServiceError("PROMPT_LOST", "the backend has forgotten the workflow, as after a restart");
        }
        return undefined;
      case "pending":
        this.#isSilent(this.#registration?.frameCount === 0);
        await this.#checkQueue();
        return undefined;
      case "running":
        if (this.#state.phase !== "running" && this.#isSilent(true)) {
          this.#state.markStarted();
          this.#watchdog.onSign();
        }
        return undefined;
      case "ended":
        return this.#state.closed || this.#isSilent(true)
          ? (found.record ?? (await this.#readRecord()))
          : undefined;
    }
  }

  /**
   * Takes notice of whether an event is missing. One that is may still be on its way, so it counts only the second
   * time; then the socket is deaf and is replaced for the prompts to come. Without a socket it counts at once.
   */
  #isSilent(eventMissing: boolean): boolean {
    const certain = eventMissing && (this.#suspicious || this.#registration?.live !== true);
    this.#suspicious = eventMissing;
    if (certain) {
      this.#registration?.replaceSession();
    }
    return certain;
  }

  /** While the prompt waits: does the backend run anything? */
  async #checkQueue(): Promise<void> {
    if (!this.#watchdog.wantsQueueCheck) {
      return;
    }
    const content = await this.#ask((signal) => this.#deps.client.queue(signal));
    if (content !== undefined) {
      this.#watchdog.onQueueChecked(content.runningIds.length > 0);
    }
  }

  async #lookUp(): Promise<Whereabouts | undefined> {
    const found = await this.#ask((signal) => this.#deps.finder.lookUp(this.#request.promptId, signal));
    if (found !== undefined) {
      this.#absences = found.state === "absent" ? this.#absences + 1 : 0;
    }
    return found;
  }

  /**
   * Asks the backend something. `undefined` if it does not answer now, or nobody wants the prompt any more.
   *
   * @throws ServiceError `BACKEND_LOST` if it has not answered for too long
   */
  async #ask<T>(question: (signal: AbortSignal) => Promise<T>): Promise<T | undefined> {
    const { lifetime, settings, onReachChange } = this.#deps;
    const sinceMs = this.#unreachableSinceMs ?? now();
    const timeout = AbortSignal.timeout(Math.max(1, Math.ceil(sinceMs + settings.lostAfterMs - now())));
    this.#asking = new AbortController();
    try {
      const answer = await question(AbortSignal.any([lifetime, this.#asking.signal, timeout]));
      if (this.#unreachableSinceMs !== undefined) {
        this.#unreachableSinceMs = undefined;
        onReachChange();
      }
      return answer;
    } catch (error) {
      lifetime.throwIfAborted();
      if (this.#stopped) {
        return undefined;
      }
      if (!timeout.aborted && !(error instanceof NoAnswerError)) {
        throw error;
      }
      if (this.#unreachableSinceMs === undefined) {
        onReachChange();
      }
      this.#unreachableSinceMs = this.#watchdog.lastSignMs > sinceMs ? undefined : sinceMs;
      if (this.#unreachableSinceMs !== undefined && now() - sinceMs >= settings.lostAfterMs) {
        this.#deps.onAbandoned(this.#request.promptId);
        throw lost(error);
      }
      return undefined;
    } finally {
      this.#asking = undefined;
    }
  }

  /** Turns the end of the prompt into its outputs or its error. */
  async #conclude(end: PromptEnd, record?: PromptRecord): Promise<readonly Output[]> {
    switch (end.type) {
      case "success":
        return await this.#collect(record);
      case "failed":
        throw executionError(end.failure);
      case "interrupted":
        throw this.#stopped
          ? cancelled()
          : new ServiceError(
              "PROMPT_INTERRUPTED",
              "the workflow was stopped on the backend by somebody else",
            );
    }
  }

  /** The outputs by the record, and those that only events told about: a cached node's may be missing in the record. */
  async #collect(known?: PromptRecord): Promise<readonly Output[]> {
    if (known === undefined) {
      await this.#waitUntilClosed();
    }
    const record = known ?? (await this.#readRecord());
    const seen = this.#state.seenOutputs;
    if (record === undefined) {
      this.#deps.logger.warn({ promptId: this.#request.promptId }, "record is missing; going by events");
      return seen;
    }
    this.#state.markStarted(record.cachedNodeIds);
    const recorded = new Set(record.outputs.map(({ nodeId }) => nodeId));
    return [...record.outputs, ...seen.filter(({ nodeId }) => !recorded.has(nodeId))];
  }

  async #waitUntilClosed(): Promise<void> {
    const deadlineMs = now() + closeTimeoutMs;
    while (!this.#state.closed && this.#registration?.live && now() < deadlineMs) {
      await this.#wakeup.wait(deadlineMs - now());
    }
  }

  /** The prompt's record, which may come a little after its end. A stop ends the reading: nobody wants it then. */
  async #readRecord(): Promise<PromptRecord | undefined> {
    const { lifetime, settings } = this.#deps;
    const patienceMs = this.#stopped ? stoppedRecordTimeoutMs : Number.POSITIVE_INFINITY;
    const timeout = AbortSignal.timeout(Math.min(settings.recordTimeoutMs, patienceMs));
    this.#asking = new AbortController();
    const giveUp = AbortSignal.any([lifetime, this.#asking.signal, timeout]);
    try {
      for (let pauseMs = 10; ; pauseMs = Math.min(pauseMs * 2, 500)) {
        const record = await this.#tryRecord(giveUp);
        if (record !== undefined || giveUp.aborted) {
          return record;
        }
        await this.#wakeup.wait(pauseMs);
      }
    } finally {
      this.#asking = undefined;
    }
  }

  async #tryRecord(giveUp: AbortSignal): Promise<PromptRecord | undefined> {
    const { client, lifetime } = this.#deps;
    try {
      return await client.record(this.#request.promptId, giveUp);
    } catch (error) {
      lifetime.throwIfAborted();
      if (giveUp.aborted || error instanceof NoAnswerError) {
        return undefined; // the caller asks again, or has no more time
      }
      throw error;
    }
  }

  async #cancel(options: { promptId?: string; timeoutMs?: number } = {}): Promise<CancelOutcome> {
    const { cancelRoutes: routes, client, finder, lifetime, logger, settings, onAbandoned } = this.#deps;
    const { promptId = this.#request.promptId, timeoutMs = Number.POSITIVE_INFINITY } = options;
    const arrivalUnknown = this.#arrivalUnknown && this.#state.phase === "submitting";
    this.#wakeup.clear(); // the ring of the stop itself would cut the first pause
    const outcome = await cancelPrompt(
      promptId,
      {
        client,
        finder,
        routes,
        logger,
        timeoutMs: Math.min(timeoutMs, settings.cancelTimeoutMs),
        absencesNeeded: arrivalUnknown ? 2 : 1,
        hasEnded: () => this.#state.end !== undefined,
        wait: (timeoutMs) => this.#wakeup.wait(timeoutMs),
      },
      lifetime,
    );
    if (outcome.state === "unproven") {
      logger.warn({ promptId }, "cancelled without proof that the prompt has ended");
      onAbandoned(promptId);
    } else if (outcome.state === "absent" && arrivalUnknown) {
      onAbandoned(promptId); // it may still arrive, however unlikely that is by now
    }
    return outcome;
  }

  /** What a cancelled prompt left if it was done all the same. */
  async #outputsOrElse(error: ServiceError, outcome: CancelOutcome): Promise<readonly Output[]> {
    if (outcome.state === "ended") {
      const record = outcome.record ?? (this.#state.end === undefined ? await this.#readRecord() : undefined);
      const end = this.#state.end ?? record?.end;
      if (end?.type === "success") {
        return await this.#collect(record);
      }
    }
    throw error;
  }
}

function now(): number {
  return performance.now();
}

function cancelled(): ServiceError {
  return new ServiceError("CANCELLED_BY_CALLER", "the workflow was cancelled");
}

function stalled(): ServiceError {
  return new ServiceError("BACKEND_STALLED", "the backend shows no sign of work on the workflow");
}

/** Something that answers, but not as ComfyUI does, is no lost backend: it is another server. */
function lost(cause: unknown): ServiceError {
  const status = cause instanceof NoAnswerError ? cause.status : undefined;
  return status === undefined || status >= 500
    ? new ServiceError("BACKEND_LOST", "the backend is out of reach", { retryAfterMs: 10_000 }, { cause })
    : new ServiceError("BACKEND_PROTOCOL", `the backend answers with HTTP ${status}`, {}, { cause });
}
