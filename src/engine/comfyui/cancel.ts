import type { Logger } from "../../telemetry/logger.ts";
import { type ComfyUiClient, NoAnswerError } from "./client.ts";
import type { PromptFinder, Whereabouts } from "./look-up.ts";

export interface CancelDependencies {
  readonly client: ComfyUiClient;
  readonly finder: PromptFinder;
  readonly routes: CancelRoutes;
  readonly logger: Logger;
  /** Longest time to try, in milliseconds. */
  readonly timeoutMs: number;
  /**
   * How often in a row the prompt must be found absent: once if it is known to have arrived, twice if not, as the server
   * may read a submission after a request that was sent later (comfyui-protocol § 6).
   */
  readonly absencesNeeded: 1 | 2;
  /** Whether an event has told that the prompt is over. */
  readonly hasEnded: () => boolean;
  /** Waits until `hasEnded` may have changed, at most so many milliseconds. */
  readonly wait: (timeoutMs: number) => Promise<void>;
}

/** What is known of the server's ways to cancel. Shared by all prompts on it. */
export interface CancelRoutes {
  /** Whether it has the atomic route; `undefined` until tried. */
  hasJobsRoute: boolean | undefined;
  /** Whether its interrupt reads the id; if not, it stops whatever runs. */
  interruptReadsId: boolean;
}

/** What a cancel came to: the prompt is over, or gone without a trace, or neither could be proved in time. */
export type CancelOutcome =
  | Extract<Whereabouts, { state: "ended" | "absent" }>
  | { readonly state: "unproven" };

const firstPauseMs = 50;
const longestPauseMs = 1_000;

/**
 * Stops one prompt, and no other, and stays until that is proved: an interrupt is heeded only between steps, a model
 * that is being loaded cannot be stopped, and during the last node it comes too late. Failing requests are repeated.
 */
export async function cancelPrompt(
  promptId: string,
  deps: CancelDependencies,
  signal: AbortSignal,
): Promise<CancelOutcome> {
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(deps.timeoutMs)]);
  let absences = 0;
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    const found = await tryOnce(promptId, deps, deadline);
    if (found !== undefined) {
      absences = found.state === "absent" ? absences + 1 : 0;
    }
    if (found?.state === "ended" || (found?.state === "absent" && absences >= deps.absencesNeeded)) {
      return found;
    }
    if (deadline.aborted) {
      return { state: "unproven" };
    }
    await deps.wait(pauseMs);
  }
}

async function tryOnce(
  promptId: string,
  deps: CancelDependencies,
  signal: AbortSignal,
): Promise<Whereabouts | undefined> {
  if (deps.hasEnded()) {
    return { state: "ended" };
  }
  try {
    await dispatchCancel(promptId, deps, signal);
    return deps.hasEnded() ? { state: "ended" } : await deps.finder.lookUp(promptId, signal);
  } catch (error) {
    if (error instanceof NoAnswerError) {
      deps.logger.debug({ promptId, err: error }, "cancel got no answer");
      return undefined;
    }
    if (signal.aborted) {
      return undefined;
    }
    throw error;
  }
}

async function dispatchCancel(
  promptId: string,
  deps: CancelDependencies,
  signal: AbortSignal,
): Promise<void> {
  const { client, finder, routes } = deps;
  if (routes.hasJobsRoute !== false) {
    const answer = await client.cancelJob(promptId, signal);
    routes.hasJobsRoute = answer !== "noRoute";
    if (routes.hasJobsRoute) {
      return;
    }
  }
  await client.deletePending(promptId, signal);
  if (routes.interruptReadsId || (await finder.lookUp(promptId, signal)).state === "running") {
    await client.interrupt(promptId, signal);
  }
}
