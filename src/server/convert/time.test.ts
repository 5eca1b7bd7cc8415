import { create } from "@bufbuild/protobuf";
import { DurationSchema, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { fromDuration, fromTimestamp, toDuration } from "./time.ts";

const invalid = (field: string) =>
  expect.objectContaining({
    reason: "INVALID_FIELD",
    details: { violations: [expect.objectContaining({ field })] },
  });

describe("toDuration", () => {
  it("knows microseconds", () => {
    expect(toDuration(1_234.567_8)).toMatchObject({ seconds: 1n, nanos: 234_568_000 });
  });
});

describe("fromDuration", () => {
  it("gives milliseconds", () => {
    const duration = create(DurationSchema, { seconds: 61n, nanos: 500_000_000 });
    expect(fromDuration(duration, "ttl")).toBe(61_500);
  });

  it.each([
    { seconds: 60n, nanos: -1 },
    { seconds: -1n, nanos: 1 },
    { seconds: 60n, nanos: 1_000_000_000 },
  ])("refuses $seconds s and $nanos ns", (parts) => {
    expect(() => fromDuration(create(DurationSchema, parts), "ttl")).toThrow(invalid("ttl"));
  });
});

describe("fromTimestamp", () => {
  it.each([
    [-62_135_596_800n, 0, "0001-01-01T00:00:00.000Z"],
    [0n, 1_000_000, "1970-01-01T00:00:00.001Z"],
    [0n, 1_000_001, "1970-01-01T00:00:00.002Z"],
    [253_402_300_799n, 999_000_000, "9999-12-31T23:59:59.999Z"],
  ])("reads %d s", (seconds, nanos, iso) => {
    expect(fromTimestamp(create(TimestampSchema, { seconds, nanos }), "f").toISOString()).toBe(iso);
  });

  it.each([
    { seconds: -62_135_596_801n, nanos: 0 },
    { seconds: 253_402_300_800n, nanos: 0 },
    { seconds: 2n ** 62n, nanos: 0 },
    { seconds: 0n, nanos: -1 },
    { seconds: 0n, nanos: 1_000_000_000 },
  ])("refuses $seconds s and $nanos ns", (parts) => {
    expect(() => fromTimestamp(create(TimestampSchema, parts), "f")).toThrow(invalid("f"));
  });
});
