import type { LastingEvent, PassingEvent } from "../domain/job-event.ts";

/**
 * Tells every replica what happens, at once. The store is what counts: whoever hears of something reads it there, so
 * that nothing depends on a message; but no message is lost without a `gap` that says so.
 */
export interface EventBus extends AsyncDisposable {
  /**
   * Sends a message to all subscribers on all replicas, those of this one included, in the order of publishing. Never
   * waits and never fails: what cannot be sent makes a gap for the others. Subscribers of this replica are called before
   * it returns.
   */
  publish(message: BusMessage): void;

  /**
   * Hears of one job (`recorded`, `passing`), or of the work that there is (`queued`, `stopRequested`, `leaseReleased`),
   * until disposed of.
   */
  subscribe(topic: BusTopic, subscriber: BusSubscriber): Disposable;
}

export type BusTopic = { readonly jobId: string } | "work";

export interface BusSubscriber {
  /** Must be quick and must not throw. */
  onMessage(message: BusMessage): void;
  /** Messages may have been missed: read the store. */
  onGap(): void;
}

export type BusMessage =
  /**
   * Events were written to a job, of which this is the last number. The events are there if they come from this replica.
   */
  | {
      readonly type: "recorded";
      readonly jobId: string;
      readonly lastSequence: bigint;
      readonly events?: readonly LastingEvent[];
    }
  /** Something passing has happened to a job. */
  | { readonly type: "passing"; readonly jobId: string; readonly event: PassingEvent }
  /** Jobs wait for a backend. */
  | { readonly type: "queued" }
  /** A job that runs on this backend has to stop. */
  | { readonly type: "stopRequested"; readonly jobId: string; readonly backend: string }
  /** Nobody drives this backend any more. */
  | { readonly type: "leaseReleased"; readonly backend: string };
