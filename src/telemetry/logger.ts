import { type DestinationStream, type Logger, pino } from "pino";

export type { Logger };

export interface LoggerOptions {
  /** Lowest level that is written: `trace`, `debug`, `info`, `warn`, `error`, `fatal` or `silent`. */
  readonly level: string;
  /**
   * Where the lines go. Default: standard error, so that standard output stays free for results. Lines are written
   * together, a tenth of a second late at most, since each write costs as much as a good part of a call; what is left
   * is written when the process ends by itself.
   */
  readonly destination?: DestinationStream;
}

/** Makes the logger of the process: one JSON object a line. */
export function createLogger({ level, destination }: LoggerOptions): Logger {
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    destination ?? pino.destination({ dest: 2, sync: false, minLength: 8_192, periodicFlush: 100 }),
  );
}
