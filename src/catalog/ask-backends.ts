import { type Engine, isUsable } from "../engine/engine.ts";

/** What one backend answered. */
export interface BackendAnswer<T> {
  /** Its name in the configuration. */
  readonly backend: string;
  readonly value: T;
}

/**
 * Asks the backends that can be used now, all at the same time; all there are if none can, as what they remember is
 * better than nothing. The answers are in the order of `engines`; a backend that gives none is left out.
 *
 * @throws what the first backend failed by, if none answers
 */
export async function askBackends<T>(
  engines: readonly Engine[],
  ask: (engine: Engine) => Promise<T>,
): Promise<readonly BackendAnswer<T>[]> {
  const usable = engines.filter((engine) => isUsable(engine.health()));
  const asked = usable.length > 0 ? usable : engines;
  const outcomes = await Promise.allSettled(
    asked.map(async (engine) => ({ backend: engine.name, value: await ask(engine) })),
  );
  const answers = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
  if (answers.length === 0) {
    throw outcomes.find((outcome) => outcome.status === "rejected")?.reason;
  }
  return answers;
}
