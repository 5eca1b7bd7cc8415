/** Part of a list. */
export interface Page<T> {
  readonly entries: readonly T[];
  /** Whether entries come after these. */
  readonly hasMore: boolean;
}

/**
 * Up to `size` entries whose keys come after `after`. Since a page begins at a key and not at a number, entries that come
 * or go between two pages make no other one come twice or not at all.
 *
 * @param entries in the order of their keys, by code units, each key once
 */
export function pageAfter<T>(
  entries: readonly T[],
  keyOf: (entry: T) => string,
  after: string | undefined,
  size: number,
): Page<T> {
  const found = after === undefined ? 0 : entries.findIndex((entry) => keyOf(entry) > after);
  const start = found === -1 ? entries.length : found;
  return { entries: entries.slice(start, start + size), hasMore: start + size < entries.length };
}
