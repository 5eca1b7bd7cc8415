import type { BackendAnswer } from "./ask-backends.ts";

/**
 * Remembers what was made of the answers of backends as long as these stay the same objects: merging the node classes of
 * several backends takes some hundredths of a second, and they seldom change.
 */
export class SameSources<Source, Made> {
  readonly #make: (answers: readonly BackendAnswer<Source>[]) => Made;
  readonly #made = new Map<
    string,
    { readonly answers: readonly BackendAnswer<Source>[]; readonly made: Made }
  >();

  constructor(make: (answers: readonly BackendAnswer<Source>[]) => Made) {
    this.#make = make;
  }

  /** @param key under which the last answers are remembered; there must not be many */
  of(key: string, answers: readonly BackendAnswer<Source>[]): Made {
    const last = this.#made.get(key);
    if (last !== undefined && areSame(last.answers, answers)) {
      return last.made;
    }
    const made = this.#make(answers);
    this.#made.set(key, { answers, made });
    return made;
  }
}

function areSame<T>(a: readonly BackendAnswer<T>[], b: readonly BackendAnswer<T>[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ backend, value }, i) => backend === b[i]?.backend && value === b[i]?.value)
  );
}
