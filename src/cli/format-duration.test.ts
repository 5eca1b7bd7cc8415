import { expect, it } from "vitest";
import { formatDuration, formatSeconds } from "./format-duration.ts";

it("writes times for a summary", () => {
  expect([0, 850, 8_340, 9_960, 75_000, 7_380_000].map(formatDuration)).toEqual([
    "0ms",
    "850ms",
    "8.3s",
    "10s",
    "1m15s",
    "2h03m",
  ]);
});

it("writes times for a display that counts, never below zero", () => {
  expect([-5_000, 499, 59_400, 59_600, 3_599_600, 273_600_000].map(formatSeconds)).toEqual([
    "0s",
    "0s",
    "59s",
    "1m00s",
    "1h00m",
    "3d04h",
  ]);
});
