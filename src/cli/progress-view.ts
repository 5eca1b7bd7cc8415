import type { JobEvent } from "../../gen/comfyrpc/v1/job_event_pb.js";
import type { Clock } from "../lib/clock.ts";
import type { CliIo } from "./io.ts";

/** Shows people how a job goes. Disposing ends the display, and leaves the cursor at the start of a free line. */
export interface ProgressView extends Disposable {
  /** Shows what `event` changes. */
  show(event: JobEvent): void;
  /** Shows, until the next event, that the service is out of reach and tried again. */
  showLost(): void;
}

/** What a view is made with. */
export interface ProgressViewOptions {
  /** The service, as it is named to people. */
  readonly serverName: string;
  readonly io: CliIo;
  readonly clock: Clock;
}
