import { type DestinationStream, type Logger, pino } from "pino";

export type { Logger };

export interface LoggerOptions {
  /** Lowest level that is written: `trace`, `debug`, `info`, `warn`, `error`, `fatal` or `silent`. */
  readonly level: string;
  /**
   * Where the lines go. Default: standard error, so that standard output stays free for results; written in the
   * background, and to the end when the process ends by itself.
   */
  readonly destination?: DestinationStream;
}

/** Makes the logger of the process: one JSON object a line. */
export function createLogger({ level, destination }: LoggerOptions): Logger {
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    destination ?? pino.destination({ dest: 2, sync: false }),
  );
}
