import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readJson, writeJson } from "./lossless-json.ts";

describe("lossless JSON", () => {
  it("keeps every digit of an integer", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }), (value) => {
        const read = readJson(writeJson({ a: [value] }));
        const isSafe = value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER;
        expect(read).toEqual({ a: [isSafe ? Number(value) : value] });
      }),
    );
  });

  it("leaves digits alone that are no integer", () => {
    const value = { a: "18446744073709551615", b: 0.1234567890123456, c: 1e300, "99999999999999999": 1 };
    expect(readJson(writeJson(value))).toEqual(value);
  });

  it("reads back any JSON", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 3 }), (value) => {
        expect(writeJson(readJson(writeJson(value)))).toBe(JSON.stringify(value));
      }),
    );
  });

  it("refuses what is no JSON", () => {
    expect(() => readJson("{")).toThrow(SyntaxError);
  });
});
