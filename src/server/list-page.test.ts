import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { listPage } from "./list-page.ts";

const form = { keyOf: (name: string) => name, toMessage: (name: string) => name };
const asked = { method: "ListThings", nameContains: "" };

describe("listPage", () => {
  it("gives every entry once and in order, whatever the size of the pages and of the messages", () => {
    const names = fc
      .uniqueArray(fc.string({ unit: "binary", maxLength: 3 }), { maxLength: 20 })
      .map((list) => list.toSorted((a, b) => (a < b ? -1 : 1)));
    const size = fc.integer({ min: 0, max: 25 });
    fc.assert(
      fc.property(names, size, fc.integer({ min: 0, max: 3_000_000 }), (list, pageSize, sizeBytes) => {
        const read: string[] = [];
        let pageToken = "";
        do {
          const page = listPage(list, { pageSize, pageToken }, asked, { ...form, sizeOf: () => sizeBytes });
          expect(page.messages.length).toBeLessThanOrEqual(pageSize || 100);
          read.push(...page.messages);
          pageToken = page.nextPageToken;
        } while (pageToken !== "");
        expect(read).toEqual(list);
      }),
    );
  });

  it("ends a page before it holds more than clients take, but not without an entry", () => {
    const sizes = [1_000_000, 1_000_000, 1_000_000, 5_000_000, 1].map((sizeBytes, i) => ({
      name: `${i}`,
      sizeBytes,
    }));
    const pages: string[][] = [];
    let pageToken = "";
    do {
      const { messages, nextPageToken } = listPage(sizes, { pageSize: 10, pageToken }, asked, {
        keyOf: ({ name }) => name,
        toMessage: (entry) => entry,
        sizeOf: ({ sizeBytes }) => sizeBytes,
      });
      pages.push(messages.map(({ name }) => name));
      pageToken = nextPageToken;
    } while (pageToken !== "");
    expect(pages).toEqual([["0", "1"], ["2"], ["3"], ["4"]]);
  });

  it("refuses the token of another list", () => {
    const { nextPageToken: pageToken } = listPage(["a", "b"], { pageSize: 1, pageToken: "" }, asked, form);
    const other = { ...asked, nameContains: "b" };
    expect(() => listPage(["a", "b"], { pageSize: 1, pageToken }, other, form)).toThrow("page_token");
  });
});
