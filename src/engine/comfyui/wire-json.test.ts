import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseWireJson, writeWireJson } from "./wire-json.ts";

const beyondNumbers = fc
  .bigInt({ min: -(2n ** 64n), max: 2n ** 64n })
  .filter((value) => !Number.isSafeInteger(Number(value)) || BigInt(Number(value)) !== value);

const jsonValue = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.string({ unit: "binary" }),
    fc.maxSafeInteger().map((value) => value + 0), // no -0, which JSON does not keep
    fc.double({ noNaN: true, noDefaultInfinity: true }).filter(hasFraction),
    beyondNumbers,
    fc.array(tie("value"), { maxLength: 5 }),
    fc.dictionary(fc.string(), tie("value"), { maxKeys: 5, noNullPrototype: true }),
  ),
})).value;

function hasFraction(value: number): boolean {
  return !Number.isInteger(value);
}

describe("wire JSON", () => {
  it("reads back what it wrote, with every digit of large integers", () => {
    fc.assert(
      fc.property(jsonValue, (value) => {
        expect(parseWireJson(writeWireJson(value))).toEqual(value);
      }),
    );
  });

  it("writes the seed 2^64-1 as digits, not as a rounded number or a string", () => {
    expect(writeWireJson({ seed: 18446744073709551615n })).toBe('{"seed":18446744073709551615}');
  });

  it("keeps integers that fit as numbers, beside one that does not", () => {
    expect(parseWireJson("[9007199254740991, 9007199254740993, 1.5, 12]")).toEqual([
      9007199254740991,
      9007199254740993n,
      1.5,
      12,
    ]);
  });

  it("does not take fractions and exponents with many digits for integers", () => {
    expect(parseWireJson("[0.30000000000000004, 1e300, 1e-7]")).toEqual([0.30000000000000004, 1e300, 1e-7]);
  });

  it("reads Python's bare NaN and Infinity as null, wherever a value may stand", () => {
    const text = '{"min": -Infinity, "max": Infinity, "list": [NaN, 1, NaN], "n": NaN}';
    expect(parseWireJson(text)).toEqual({ min: null, max: null, list: [null, 1, null], n: null });
  });

  it("leaves these words alone inside strings, also beside escaped quotes", () => {
    const text = String.raw`{"a": NaN, "NaN": "NaN", "b": "say \"NaN\", Infinity", "c": "\\", "d": Infinity}`;
    expect(parseWireJson(text)).toEqual({
      a: null,
      NaN: "NaN",
      b: 'say "NaN", Infinity',
      c: "\\",
      d: null,
    });
  });

  it("repairs any JSON in which nulls were replaced by bare tokens", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.string(), fc.constant(null), fc.integer())), (values) => {
        const text = `[${values.map((value) => (value === null ? "NaN" : JSON.stringify(value))).join(", ")}]`;
        expect(parseWireJson(text)).toEqual(values.map((value) => (Object.is(value, -0) ? 0 : value)));
      }),
    );
  });

  it.each(["", "<html>", "{", '{"a": nan}', "NaNs"])("refuses %j, which is not JSON", (text) => {
    expect(() => parseWireJson(text)).toThrow(SyntaxError);
  });
});
