import { createLogger, type Logger } from "../../src/telemetry/logger.ts";

/** A logger that keeps its lines. */
export interface LogLines {
  readonly logger: Logger;
  /** What was logged so far, each line an object. */
  readonly entries: readonly Readonly<Record<string, unknown>>[];
  /** The same as it would have been written. */
  readonly text: string;
}

export function collectLog(level: string): LogLines {
  const lines: string[] = [];
  return {
    logger: createLogger({ level, destination: { write: (line) => void lines.push(line) } }),
    get entries() {
      return lines.map((line) => ({ ...JSON.parse(line) }));
    },
    get text() {
      return lines.join("");
    },
  };
}
