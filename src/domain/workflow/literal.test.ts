import { describe, expect, it } from "vitest";
import { convertLiteral, isAmong, unwrapLiteral } from "./literal.ts";

describe("convertLiteral", () => {
  it.each([
    ["INT", 64.9, 64],
    ["INT", -0.5, -0],
    ["INT", true, 1],
    ["INT", " +1_000 ", 1000n],
    ["INT", "18446744073709551615", 18446744073709551615n],
    ["FLOAT", " .5e1 ", 5],
    ["FLOAT", "1_0.", 10],
    ["FLOAT", "-Infinity", -Infinity],
    ["FLOAT", "nan", Number.NaN],
    ["FLOAT", false, 0],
    ["FLOAT", 2n ** 64n - 1n, 2 ** 64],
    ["STRING", "a", "a"],
    ["STRING", null, ""],
    ["BOOLEAN", "", false],
    ["BOOLEAN", "no", true],
    ["BOOLEAN", [], false],
    ["BOOLEAN", { a: 1 }, true],
    ["MODEL", "x", "x"],
  ])("makes a %s of %o", (type, given, value) => {
    expect(convertLiteral(given, type)).toEqual({ ok: true, value });
  });

  it.each([
    ["INT", null],
    ["INT", ""],
    ["INT", "7.0"],
    ["INT", "0x10"],
    ["INT", "1__0"],
    ["INT", "9".repeat(4_301)],
    ["INT", []],
    ["FLOAT", "1e"],
    ["FLOAT", "."],
    ["FLOAT", {}],
    ["FLOAT", null],
  ])("makes no %s of %o", (type, given) => {
    expect(convertLiteral(given, type)).toEqual({ ok: false });
  });
});

describe("isAmong", () => {
  it("compares as Python does", () => {
    expect(isAmong(1n, [1])).toBe(true);
    expect(isAmong(true, [0, 1])).toBe(true);
    expect(isAmong("1", [1])).toBe(false);
    expect(isAmong("a", ["A", "a"])).toBe(true);
    expect(isAmong(null, ["a", 1])).toBe(false);
  });
});

describe("unwrapLiteral", () => {
  it("takes a value out of its wrapper", () => {
    expect(unwrapLiteral({ __value__: [1, 2] })).toEqual([1, 2]);
    expect(unwrapLiteral({ value: 1 })).toEqual({ value: 1 });
    expect(unwrapLiteral(["1", 0])).toEqual(["1", 0]);
  });
});
