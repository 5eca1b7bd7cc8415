import { describe, expect, it } from "vitest";
import { scanJson } from "./scan-json.ts";

describe("scanJson", () => {
  it.each([
    ["", 0, 0],
    ["7", 0, 1],
    ['{"a": [[1], 22.5e-3]}', 3, 7],
    ['["[[[[1234567890", "\\"[", 1]', 1, 1],
    ["}}}[[", 0, 0],
  ])("tells of %j how deep it is, and how long its numbers are", (text, depth, longestNumber) => {
    expect(scanJson(text)).toEqual({ depth, longestNumber });
  });

  it("looks once at a string without an end, however many quotes are escaped in it", () => {
    expect(scanJson(`["${'\\"'.repeat(2_000_000)}`)).toEqual({ depth: 1, longestNumber: 0 });
  });
});
