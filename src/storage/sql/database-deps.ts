import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../telemetry/logger.ts";

/** What the stores need beside the database. */
export interface DatabaseDeps {
  /** Where the times of jobs, events and assets come from. */
  readonly clock: Clock;
  readonly logger: Logger;
}
