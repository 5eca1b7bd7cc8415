import { expect, it } from "vitest";
import { isAtLeast } from "./version.ts";

it.each([
  ["0.3.57", "0.3.57", true],
  ["0.3.64", "0.3.57", true],
  ["0.33.0", "0.3.57", true],
  ["1.0", "0.3.57", true],
  ["v0.4.0-rc1", "0.3.57", true],
  ["0.3.56", "0.3.57", false],
  ["0.3", "0.3.57", false],
  ["", "0.3.57", false],
  ["nightly", "0.3.57", false],
])("version %j is at least %s: %s", (version, least, expected) => {
  expect(isAtLeast(version, least)).toBe(expected);
});
