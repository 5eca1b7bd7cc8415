import { describe, expect, it } from "vitest";
import { parseNames, parseNumbers, parseSeeds, parseWholeNumbers } from "./list-values.ts";

describe("parseSeeds", () => {
  it.each([
    ["7", [7n]],
    ["1,2, 3", [1n, 2n, 3n]],
    ["1-4", [1n, 2n, 3n, 4n]],
    ["5-5,1-2", [5n, 1n, 2n]],
    ["18446744073709551614-18446744073709551615", [2n ** 64n - 2n, 2n ** 64n - 1n]],
  ])("reads %j", (text, expected) => {
    expect(parseSeeds(text)).toEqual(expected);
  });

  it.each(["", "1,", "4-1", "1-1001", "-3", "1-2-3", "a-b", "1-18446744073709551616"])(
    "refuses %j",
    (text) => {
      expect(() => parseSeeds(text)).toThrow(/./);
    },
  );
});

it("reads numbers and names with commas between them", () => {
  expect(parseNumbers("5,7.5")).toEqual([5, 7.5]);
  expect(parseWholeNumbers("10,20")).toEqual([10, 20]);
  expect(parseNames("euler, dpmpp_2m")).toEqual(["euler", "dpmpp_2m"]);
  for (const text of ["", ",", "5,,7", "5;7"]) expect(() => parseNumbers(text), text).toThrow(/./);
  expect(() => parseWholeNumbers("1.5")).toThrow(/./);
  expect(() => parseNames("euler,,ddim")).toThrow(/./);
});
