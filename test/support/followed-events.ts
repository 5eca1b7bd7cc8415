import type { JobEvent } from "./service-messages.ts";
import { parseJobEvent } from "./service-messages.ts";

/** A stream of events that is being read, so that a test can wait for one of them. */
export interface FollowedEvents {
  /** What has come so far. */
  readonly events: readonly JobEvent[];
  /** All events, once the stream has ended. Rejects if the call fails. */
  readonly ended: Promise<readonly JobEvent[]>;
  /** Resolves with the first event that `found` says yes to. Rejects if the stream ends without. */
  reached(found: (event: JobEvent) => boolean): Promise<JobEvent>;
}

/** Begins to read a stream of messages that hold an event each. */
export function followEvents(messages: AsyncIterable<unknown>): FollowedEvents {
  const events: JobEvent[] = [];
  const changes = new EventTarget();
  const tell = () => changes.dispatchEvent(new Event("change"));
  let isOver = false;
  const ended = (async () => {
    try {
      for await (const message of messages) {
        events.push(parseJobEvent(message));
        tell();
      }
      return events;
    } finally {
      isOver = true;
      tell();
    }
  })();
  ended.catch(() => {}); // awaited by the test, if it comes that far
  return {
    events,
    ended,
    async reached(found) {
      for (;;) {
        const event = events.find(found);
        if (event !== undefined) return event;
        if (isOver) {
          await ended;
          throw new Error("the stream ended before that");
        }
        await new Promise((resolve) => changes.addEventListener("change", resolve, { once: true }));
      }
    },
  };
}
