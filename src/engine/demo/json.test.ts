import { describe, expect, it } from "vitest";
import { parseJson, stringifyJson } from "./json.ts";

describe("JSON with large integers", () => {
  it.each([
    ['{"seed":18446744073709551615}', { seed: 18446744073709551615n }],
    ['{"seed":9007199254740993}', { seed: 9007199254740993n }],
    ['{"seed":9007199254740991}', { seed: 9007199254740991 }],
    [
      '[-9223372036854775808,1.5,"12345678901234567890"]',
      [-9223372036854775808n, 1.5, "12345678901234567890"],
    ],
    ["1e300", 1e300],
  ])("keeps every digit of %s", (text, value) => {
    expect(parseJson(text)).toEqual(value);
  });

  it("writes what it read", () => {
    const text = '{"3":{"inputs":{"seed":18446744073709551615,"cfg":7.5,"list":[1,null,true]}}}';
    expect(stringifyJson(parseJson(text))).toBe(text);
  });

  it("throws a SyntaxError on what is no JSON", () => {
    expect(() => parseJson("{bad 1234567890123456789}")).toThrow(SyntaxError);
  });
});
