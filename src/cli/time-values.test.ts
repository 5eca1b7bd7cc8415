import { describe, expect, it } from "vitest";
import { parseDuration, parseMoment } from "./time-values.ts";

describe("parseDuration", () => {
  it.each([
    ["90s", 90_000],
    ["15m", 900_000],
    ["1h30m", 5_400_000],
    ["1.5h", 5_400_000],
    ["7d", 604_800_000],
    ["250ms", 250],
    ["2H", 7_200_000],
  ])("reads %j", (text, expected) => {
    expect(parseDuration(text)).toBe(expected);
  });

  it.each(["", "90", "h", "1 h", "-5m", "1h-30m", "1w", "1.h", "9999999999d"])("refuses %j", (text) => {
    expect(() => parseDuration(text)).toThrow("90s, 15m, 1h30m or 7d");
  });
});

describe("parseMoment", () => {
  const now = new Date("2026-03-01T12:00:00Z");

  it.each([
    ["2h", "2026-03-01T10:00:00.000Z"],
    ["2026-02-28T08:30:00Z", "2026-02-28T08:30:00.000Z"],
    ["2026-02-28T08:30:00.250+02:00", "2026-02-28T06:30:00.250Z"],
    ["2026-02-28 08:30z", "2026-02-28T08:30:00.000Z"],
    ["2026-02-28", "2026-02-28T00:00:00.000Z"],
  ])("reads %j", (text, expected) => {
    expect(parseMoment(text, now).toISOString()).toBe(expected);
  });

  it.each(["", "yesterday", "2026-02-28T08:30:00", "2026-13-01", "2026-02-28T25:00:00Z", "12:00"])(
    "refuses %j",
    (text) => {
      expect(() => parseMoment(text, now)).toThrow("2026-03-01T12:00:00Z");
    },
  );
});
