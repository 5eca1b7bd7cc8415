import { describe, expect, it } from "vitest";
import {
  PythonError,
  pythonFloat,
  pythonInt,
  pythonRepr,
  pythonText,
  pythonToFloat,
  pythonTruth,
} from "./python.ts";

describe("Python's view of JSON", () => {
  it.each([
    ["a", "'a'"],
    ["it's", `"it's"`],
    [`"it's"`, `'"it\\'s"'`],
    ["a\nb\\", "'a\\nb\\\\'"],
    [[1, "a", null, true], "[1, 'a', None, True]"],
    [{ a: [1.5] }, "{'a': [1.5]}"],
    [18446744073709551615n, "18446744073709551615"],
  ])("writes %o as %s", (value, text) => {
    expect(pythonRepr(value)).toBe(text);
  });

  it("writes text as it is, and everything else as in a list", () => {
    expect([pythonText("a"), pythonText(false), pythonText(["a"])]).toEqual(["a", "False", "['a']"]);
  });

  it.each([
    [7, "7.0"],
    [0.1, "0.1"],
    [1e-7, "1e-07"],
    [1e22, "1e+22"],
    [Number.POSITIVE_INFINITY, "inf"],
  ])("writes the float %d as %s", (value, text) => {
    expect(pythonFloat(value)).toBe(text);
  });

  it.each([
    ["64", 64],
    [" 1_000 ", 1000],
    [64.9, 64],
    [-1.5, -1],
    [true, 1],
    ["18446744073709551615", 18446744073709551615n],
  ])("makes an integer of %o", (value, wanted) => {
    expect(pythonInt(value)).toBe(wanted);
  });

  it.each([["64.9"], [""], [null], [[]], [{}]])("makes no integer of %j", (value) => {
    expect(() => pythonInt(value)).toThrow(PythonError);
  });

  it.each([
    ["1.5", 1.5],
    [".5", 0.5],
    ["1e3", 1000],
    [2n, 2],
  ])("makes a float of %o", (value, wanted) => {
    expect(pythonToFloat(value)).toBe(wanted);
  });

  it.each([["x"], [null]])("makes no float of %j", (value) => {
    expect(() => pythonToFloat(value)).toThrow(PythonError);
  });

  it("takes what is empty for false", () => {
    expect([0, "", null, [], {}].map(pythonTruth)).toEqual([false, false, false, false, false]);
    expect([1, "0", [0], { a: 1 }].map(pythonTruth)).toEqual([true, true, true, true]);
  });
});
