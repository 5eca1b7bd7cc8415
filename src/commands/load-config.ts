import type { Writable } from "node:stream";
import { type Config, ConfigError, readConfig } from "../config/config.ts";

/** Environment variables. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Reads the configuration; if it cannot be used, says why on `stderr` and returns `undefined`. */
export function loadConfig(env: Environment, stderr: Writable): Config | undefined {
  try {
    return readConfig(env);
  } catch (error) {
    if (!(error instanceof ConfigError)) {
      throw error;
    }
    stderr.write(`error: the configuration cannot be used\n${error.message.replace(/^/gm, "  ")}\n`);
    return undefined;
  }
}
