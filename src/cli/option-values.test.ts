import { describe, expect, it } from "vitest";
import {
  parseByteCount,
  parseLora,
  parseNumber,
  parseSeconds,
  parseSeed,
  parseSize,
  parseWholeNumber,
} from "./option-values.ts";

describe("parseSize", () => {
  it("reads width and height", () => {
    expect(parseSize("768x512")).toEqual({ widthPx: 768, heightPx: 512 });
    expect(parseSize("768X512")).toEqual({ widthPx: 768, heightPx: 512 });
    expect(parseSize("768×512")).toEqual({ widthPx: 768, heightPx: 512 });
  });

  it.each(["", "768", "768x", "x512", "768x512x3", "-1x5", "7.5x5", "99999999999x8"])(
    "refuses %j",
    (text) => {
      expect(() => parseSize(text)).toThrow(/./);
    },
  );
});

describe("parseLora", () => {
  it("leaves out the strengths that are not given", () => {
    expect(parseLora("film.safetensors")).toEqual({ name: "film.safetensors" });
    expect(parseLora("film.safetensors:0.8")).toEqual({ name: "film.safetensors", modelStrength: 0.8 });
    expect(parseLora("sub/film.safetensors:-1:.5")).toEqual({
      name: "sub/film.safetensors",
      modelStrength: -1,
      clipStrength: 0.5,
    });
  });

  it.each(["", ":0.8", "film:strong", "film:", "film:1:2:3", "film::1"])("refuses %j", (text) => {
    expect(() => parseLora(text)).toThrow(/./);
  });
});

describe("parseSeed", () => {
  it("keeps all 64 bits", () => {
    expect(parseSeed("18446744073709551615")).toBe(18446744073709551615n);
    expect(parseSeed("9007199254740993")).toBe(9007199254740993n);
    expect(parseSeed("0")).toBe(0n);
  });

  it.each(["18446744073709551616", "-1", "1.5", "0x10", "", "random"])("refuses %j", (text) => {
    expect(() => parseSeed(text)).toThrow("18446744073709551615");
  });
});

describe("numbers", () => {
  it("reads decimal numbers only", () => {
    expect(parseNumber("-0.5")).toBe(-0.5);
    expect(parseNumber("7")).toBe(7);
    for (const text of ["", "seven", "1,5", "Infinity", "NaN", "0x7"])
      expect(() => parseNumber(text)).toThrow();
  });

  it("reads whole numbers that fit into 32 bits", () => {
    expect(parseWholeNumber("4294967295")).toBe(4294967295);
    for (const text of ["4294967296", "-1", "1.5", ""]) expect(() => parseWholeNumber(text)).toThrow();
  });

  it("turns seconds into milliseconds, and refuses what no timer can wait", () => {
    expect(parseSeconds("1.5")).toBe(1500);
    for (const text of ["0", "-3", "2147484", "soon"]) expect(() => parseSeconds(text)).toThrow();
  });

  it("reads numbers of bytes with and without a unit", () => {
    expect(parseByteCount("65536")).toBe(65536);
    expect(parseByteCount("512KiB")).toBe(512 * 1024);
    expect(parseByteCount("4MiB")).toBe(4 * 1024 * 1024);
    expect(parseByteCount("4m")).toBe(4 * 1024 * 1024);
    for (const text of ["", "4GiB", "1.5MiB", "-1", "9999MiB"]) expect(() => parseByteCount(text)).toThrow();
  });
});
