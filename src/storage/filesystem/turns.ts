/** Runs work on a key when all earlier work on that key has ended, however that ended. */
export type InTurn = <T>(key: string, work: () => Promise<T>) => Promise<T>;

/** Makes a keeper of turns, which knows nothing of other keepers. */
export function createTurns(): InTurn {
  const lastOf = new Map<string, Promise<unknown>>();
  return async (key, work) => {
    const before = lastOf.get(key);
    const result = before === undefined ? work() : before.then(work);
    const ended = result.catch(() => {});
    lastOf.set(key, ended);
    try {
      return await result;
    } finally {
      if (lastOf.get(key) === ended) {
        lastOf.delete(key);
      }
    }
  };
}
