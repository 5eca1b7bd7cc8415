import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { pageAfter } from "./page.ts";

const keys = fc
  .uniqueArray(fc.string({ unit: "binary", maxLength: 4 }), { maxLength: 30 })
  .map((list) => list.toSorted(byCodeUnits));

function byCodeUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Reads page after page, the list being what `listAt` says when each is read. */
function readAll(listAt: (page: number) => readonly string[], size: number): readonly string[] {
  const read: string[] = [];
  for (let page = 0; ; page++) {
    const { entries, hasMore } = pageAfter(listAt(page), (key) => key, read.at(-1), size);
    expect(entries.length).toBeLessThanOrEqual(size);
    read.push(...entries);
    if (!hasMore) {
      return read;
    }
    expect(entries).not.toHaveLength(0);
  }
}

describe("pageAfter", () => {
  it("gives every entry once and in order, whatever the size of the pages", () => {
    fc.assert(
      fc.property(keys, fc.integer({ min: 1, max: 40 }), (list, size) => {
        expect(readAll(() => list, size)).toEqual(list);
      }),
    );
  });

  it("gives what is there all the time once and in order, whatever comes and goes meanwhile", () => {
    fc.assert(
      fc.property(keys, fc.array(keys), fc.integer({ min: 1, max: 5 }), (lasting, guests, size) => {
        const listAt = (page: number) =>
          [...new Set([...lasting, ...(guests[page] ?? [])])].toSorted(byCodeUnits);
        const read = readAll(listAt, size);
        const isLasting = new Set(lasting);
        expect(read.filter((key) => isLasting.has(key))).toEqual(lasting);
        expect(new Set(read).size).toBe(read.length);
      }),
    );
  });
});
