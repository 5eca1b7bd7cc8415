import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cutText } from "./cut-text.ts";

describe("cutText", () => {
  it.each([
    ["abc", 3, "abc"],
    ["abcd", 3, "ab…"],
    ["", 1, ""],
    ["a😀b", 3, "a\ufffd…"],
  ])("makes of %j with at most %i: %j", (text, length, expected) => {
    expect(cutText(text, length)).toBe(expected);
  });

  it("is never longer than asked for, and always text that can be sent", () => {
    const text = fc.string({ unit: "grapheme" });
    fc.assert(
      fc.property(text, fc.integer({ min: 1, max: 20 }), (whole, length) => {
        const cut = cutText(whole, length);
        expect(cut.length).toBeLessThanOrEqual(length);
        expect(cut.isWellFormed()).toBe(true);
      }),
    );
  });
});
