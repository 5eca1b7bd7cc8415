import { isServiceError, type ServiceError } from "../../domain/errors.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Output, RunEvent, RunRequest, RunSignals } from "../engine.ts";
import { type CancelOutcome, type CancelRoutes, cancelPrompt } from "./cancel.ts";
import type { ComfyUiClient, Submission } from "./client.ts";
import { executionError } from "./failures.ts";
import { PromptHarvest } from "./harvest.ts";
import { PromptInquiry } from "./inquiry.ts";
import type { PromptFinder } from "./look-up.ts";
import type { Settings } from "./options.ts";
import { PromptState } from "./prompt-state.ts";
import type { PromptEnd, PromptRecord } from "./record.ts";
import { RunControl } from "./run-control.ts";
import { RunEventQueue } from "./run-event-queue.ts";
import {
  cancelled,
  idsNotKept,
  notQueued,
  promptForgotten,
  promptInterrupted,
  promptLeft,
  promptNotFound,
  stalled,
} from "./run-failures.ts";
import type { ComfyUiSocket, Registration } from "./socket.ts";
import { type SubmitOutcome, submitPrompt } from "./submit.ts";
import { uploadInputs } from "./upload-inputs.ts";
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
  /** Told about a prompt that may still be on the backend though nobody waits for it, nor will resume it. */
  readonly onAbandoned: (promptId: string) => void;
}

/** Time between look-ups where events are missing. */
const quickPollMs = 250;
/** So many prompts are looked up at the full rate; if there are more, each is looked up less often. */
const fullRateCount = 16;
/** How long a submission may still take after the prompt was stopped or left. */
const submitPatienceMs = 1_000;
/** Longest time to cancel a prompt that is stuck anyway; one that does not stop is left to be swept later. */
const stalledCancelTimeoutMs = 5_000;

/**
 * The life of one prompt, from before it is submitted, or taken over from another process, to its proven end. Events
 * move it on as they come; look-ups find what events do not tell, so that each step also happens without any event.
 */
export class PromptRun {
  readonly #request: RunRequest;
  readonly #deps: PromptRunDependencies;
  readonly #events = new RunEventQueue();
  readonly #state = new PromptState((event) => this.#events.push(event));
  readonly #wakeup = new Wakeup();
  readonly #ended = Promise.withResolvers<void>();
  readonly #control: RunControl;
  readonly #inquiry: PromptInquiry;
  readonly #harvest: PromptHarvest;
  readonly #watchdog: Watchdog;
  /** Missing for a prompt that is resumed: its events go to whoever submitted it. */
  #registration: Registration | undefined;
  /** Frames that had come over the socket when the prompt last gave a sign of life. */
  #framesAtSign = 0;
  /** There was no answer that tells whether the prompt was queued. */
  #arrivalUnknown: boolean;
  /** The backend was found to be further on than events have told, or to have sent nothing at all. */
  #suspicious = false;

  constructor(request: RunRequest, deps: PromptRunDependencies) {
    this.#request = request;
    this.#deps = deps;
    this.#arrivalUnknown = request.resume;
    this.#control = new RunControl(deps.lifetime, () => this.#wakeup.ring());
    this.#watchdog = new Watchdog(deps.settings, now);
    this.#inquiry = new PromptInquiry(request.promptId, {
      client: deps.client,
      finder: deps.finder,
      control: this.#control,
      lostAfterMs: deps.settings.lostAfterMs,
      lastSignMs: () => this.#watchdog.lastSignMs,
      onReachChange: deps.onReachChange,
      nowMs: now,
    });
    this.#harvest = new PromptHarvest(request.promptId, {
      client: deps.client,
      settings: deps.settings,
      logger: deps.logger,
      control: this.#control,
      state: this.#state,
      wakeup: this.#wakeup,
      isLive: () => this.#registration?.live === true,
      nowMs: now,
    });
  }

  /** Resolves when a run that has begun has ended. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Cancels the prompt, unless it was left before. The run ends when that is proved, or cannot be. */
  stop(): void {
    this.#control.stop();
  }

  /** Ends the run at once and leaves the prompt as it is. */
  leave(): void {
    this.#control.leave();
  }

  /**
   * Runs the prompt, once, from when the first event is asked for. The signals do what they say, and leaving the loop
   * early stops the prompt.
   */
  async *events(signals: RunSignals): AsyncGenerator<RunEvent, void, void> {
    using _following = this.#control.follow(signals);
    const ended = this.#toEnd();
    try {
      for (let event = await this.#events.next(); event !== undefined; event = await this.#events.next()) {
        yield event;
      }
    } finally {
      if (this.#deps.running.has(this)) {
        this.stop();
      }
      await ended;
    }
  }

  /** Never fails itself: a failure is the end of the events. */
  async #toEnd(): Promise<void> {
    const { running } = this.#deps;
    running.add(this);
    try {
      const outputs = this.#request.resume ? await this.#resume() : await this.#start();
      this.#control.giveUp.throwIfAborted();
      this.#events.push({ type: "finished", outputs });
      this.#events.close();
    } catch (error) {
      this.#events.fail(this.#endedBy(error));
    } finally {
      running.delete(this);
      this.#registration?.[Symbol.dispose]();
      this.#ended.resolve();
    }
  }

  /** What the caller is told instead of `error`. What comes of breaking off is of no interest. */
  #endedBy(error: unknown): unknown {
    const { lifetime, onAbandoned } = this.#deps;
    if (this.#control.left) {
      return promptLeft();
    }
    if (lifetime.aborted) {
      return cancelled();
    }
    const maybeQueued = this.#arrivalUnknown || this.#state.phase !== "submitting";
    if (isServiceError(error, "BACKEND_PROTOCOL", "NO_BACKEND") && maybeQueued) {
      onAbandoned(this.#request.promptId); // it may be late
    }
    return error;
  }

  async #start(): Promise<readonly Output[]> {
    if (this.#control.wanted) {
      await this.#upload();
    }
    if (this.#control.wanted) {
      await this.#deps.socket.settled(this.#control.untilStop());
    }
    if (!this.#control.wanted) {
      throw cancelled();
    }
    // A second time only if the first left no trace on the backend, and then under the same id.
    const queued = (await this.#submit()) || this.#control.stopped || (await this.#submit());
    if (!queued) {
      throw notQueued();
    }
    return await this.#watch();
  }

  /** Has the backend have what the graph reads. Breaks off when the prompt is stopped or left. */
  async #upload(): Promise<void> {
    const signal = this.#control.untilStop();
    try {
      await uploadInputs(this.#request.inputs, this.#deps, signal);
    } catch (error) {
      if (signal.aborted) {
        return;
      }
      if (isServiceError(error, "NO_BACKEND")) {
        this.#deps.onReachChange();
      }
      throw error;
    }
  }

  /** Follows a prompt that somebody else has submitted, if anybody has. */
  async #resume(): Promise<readonly Output[]> {
    if (await this.#isThere()) {
      this.#wakeup.ring(); // where it is was not looked at, and it may have ended long ago: no pause before the next look
    } else if (!this.#control.stopped) {
      this.#deps.onAbandoned(this.#request.promptId); // it may be late
      throw promptNotFound();
    }
    return await this.#watch();
  }

  /** Submits the prompt. Returns whether the backend has it, as far as can be found out. */
  async #submit(): Promise<boolean> {
    const { promptId, graph, previews, maySubmit } = this.#request;
    if (this.#control.wanted && maySubmit?.() === false) {
      throw promptLeft();
    }
    this.#control.giveUp.throwIfAborted();
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
        if (this.#control.left) {
          this.#deps.onAbandoned(outcome.promptId); // nobody could follow it: its id is known to us only
        }
        await this.#cancel({ promptId: outcome.promptId });
        throw idsNotKept();
      case "unknown":
        this.#deps.logger.warn(
          { promptId, status: outcome.status },
          "not known whether the prompt was queued",
        );
        return await this.#isThere();
    }
  }

  /** A prompt that is stopped or left meanwhile may have arrived, but is not waited for much longer. */
  async #post(submission: Submission): Promise<SubmitOutcome> {
    using patience = this.#control.patient(submitPatienceMs);
    try {
      return await submitPrompt(this.#deps.client, submission, patience.signal);
    } catch (error) {
      if (patience.signal.aborted) {
        return { type: "unknown", status: undefined };
      }
      if (isServiceError(error, "NO_BACKEND")) {
        this.#deps.onReachChange();
      }
      throw error;
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

  /** Whether the prompt has reached the backend, where no answer tells. Not looked for any longer once it is stopped. */
  async #isThere(): Promise<boolean> {
    while (!this.#control.stopped) {
      if (this.#state.phase !== "submitting") {
        return true;
      }
      const found = await this.#inquiry.lookUp();
      if (found !== undefined && found.state !== "absent") {
        this.#state.markQueued();
        return true;
      }
      if (this.#inquiry.absences >= 2) {
        this.#inquiry.forgetAbsences();
        return false;
      }
      await this.#wakeup.wait(this.#arrivalPauseMs());
    }
    return false;
  }

  /** Whoever submitted a prompt to resume may be at it still, for as long as it submits what it has left. */
  #arrivalPauseMs(): number {
    const mayBeOnItsWay = this.#request.resume && this.#inquiry.absences > 0;
    return mayBeOnItsWay ? this.#deps.settings.pollIntervalMs : this.#pauseMs();
  }

  /** Follows the prompt until it is over. */
  async #watch(): Promise<readonly Output[]> {
    for (;;) {
      this.#control.giveUp.throwIfAborted();
      if (this.#state.end !== undefined) {
        return await this.#conclude(this.#state.end);
      }
      if (this.#control.stopped) {
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
      if (this.#state.end === undefined && this.#control.wanted) {
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
    const sure = this.#inquiry.absences === 0 && !this.#suspicious && this.#inquiry.reachable;
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
    const found = await this.#inquiry.lookUp();
    if (found === undefined || this.#state.end !== undefined) {
      return undefined;
    }
    switch (found.state) {
      case "absent":
        if (this.#inquiry.absences >= 2) {
          throw promptForgotten();
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
          ? (found.record ?? (await this.#harvest.record()))
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
    const content = await this.#inquiry.ask((client, signal) => client.queue(signal));
    if (content !== undefined) {
      this.#watchdog.onQueueChecked(content.runningIds.length > 0);
    }
  }

  /** Turns the end of the prompt into its outputs or its error. */
  async #conclude(end: PromptEnd, record?: PromptRecord): Promise<readonly Output[]> {
    switch (end.type) {
      case "success":
        return await this.#harvest.outputs(record);
      case "failed":
        throw executionError(end.failure);
      case "interrupted":
        throw this.#control.stopped ? cancelled() : promptInterrupted();
    }
  }

  async #cancel(options: { promptId?: string; timeoutMs?: number } = {}): Promise<CancelOutcome> {
    const { cancelRoutes: routes, client, finder, logger, settings, onAbandoned } = this.#deps;
    const { promptId = this.#request.promptId, timeoutMs = Number.POSITIVE_INFINITY } = options;
    const arrivalUnknown = this.#arrivalUnknown && this.#state.phase === "submitting";
    this.#control.giveUp.throwIfAborted();
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
      this.#control.giveUp,
    );
    this.#control.giveUp.throwIfAborted();
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
      const record =
        outcome.record ?? (this.#state.end === undefined ? await this.#harvest.record() : undefined);
      const end = this.#state.end ?? record?.end;
      if (end?.type === "success") {
        return await this.#harvest.outputs(record);
      }
    }
    throw error;
  }
}

function now(): number {
  return performance.now();
}
