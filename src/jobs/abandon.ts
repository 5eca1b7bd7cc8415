import type { PromptPlace } from "../domain/job-record.ts";
import type { Engine } from "../engine/engine.ts";

/**
 * Has a backend cancel a prompt that nobody waits for any more, now or as soon as it can be reached: it would cost GPU time
 * for nothing. Does nothing without one, or if the backend is not in our configuration.
 */
export type Abandon = (prompt: PromptPlace | undefined) => void;

/** Makes what has prompts cancelled on these backends, each by its name. */
export function abandonOn(engines: readonly Engine[]): Abandon {
  return (prompt) => {
    if (prompt !== undefined) {
      engines.find(({ name }) => name === prompt.backend)?.abandon(prompt.promptId);
    }
  };
}
