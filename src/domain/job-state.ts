/**
 * Where a job is in its life.
 *
 * - `queued`: waits for a backend.
 * - `running`: a backend has been given it.
 * - `cancelling`: it has to stop; the backend has not proven yet that it did.
 * - `succeeded`, `failed`, `cancelled`, `expired`: ended. `expired` is a job that waited too long.
 */
export type JobState = "queued" | "running" | "cancelling" | "succeeded" | "failed" | "cancelled" | "expired";

/** What a job may become. Terminal states have no way out, so a late event of a backend cannot revive a job. */
const next: Readonly<Record<JobState, readonly JobState[]>> = {
  queued: ["running", "succeeded", "cancelled", "failed", "expired"], // succeeded: by the images of an earlier job
  running: ["succeeded", "failed", "cancelling", "queued"], // back to queued when the backend lost it
  cancelling: ["cancelled", "failed"], // failed: it had to stop because it took too long
  succeeded: [],
  failed: [],
  cancelled: [],
  expired: [],
};

/** Whether a job may go from `from` to `to`. */
export function canBecome(from: JobState, to: JobState): boolean {
  return next[from].includes(to);
}

/** Whether a job in `state` has ended. */
export function isTerminal(state: JobState): boolean {
  return next[state].length === 0;
}
