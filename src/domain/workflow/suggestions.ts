import { nearestNames } from "../../lib/nearest-names.ts";

/**
 * Finds names that look like unknown ones. Each pair of name and list is compared once, and a graph full of unknown names
 * only until so many comparisons have been made: each costs microseconds, of long names many, and lists have thousands of
 * names.
 */
export class Suggestions {
  readonly #known = new Map<string, string>();
  #comparisonsLeft = 100_000;

  /**
   * Says what to choose in place of `name`.
   *
   * @param list what `names` are, by which they are told from other lists
   */
  remedyFor(name: string, list: string, names: readonly string[]): string {
    const key = JSON.stringify([name, list]);
    const known = this.#known.get(key) ?? this.#find(name, names);
    this.#known.set(key, known);
    return known;
  }

  #find(name: string, names: readonly string[]): string {
    if (names.length === 0) {
      return "the backend has none to choose from";
    }
    this.#comparisonsLeft -= names.length * Math.ceil(name.length / charactersAtOnce);
    return this.#comparisonsLeft < 0
      ? `choose one of the ${names.length} that the backend has`
      : `the nearest it has: ${nearestNames(name, names).join(", ")}`;
  }
}

/** How many characters of a name cost the same to compare as one does. */
const charactersAtOnce = 32;
