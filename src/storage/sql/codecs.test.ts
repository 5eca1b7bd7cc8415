import { describe, expect, it } from "vitest";
import { eventDataSchema, failureSchema, json } from "./codecs.ts";

describe("what is kept as JSON", () => {
  it("shows a failure for a reason that only a newer version knows", () => {
    const text = '{"reason":"MADE_UP_LATER","message":"m","details":{"metadata":{"a":"b"},"later":1}}';
    expect(json(failureSchema).parse(text)).toEqual({
      reason: "INTERNAL",
      message: "m",
      details: { metadata: { a: "b" } },
    });
  });

  it("refuses what no version has written", () => {
    expect(() => json(eventDataSchema).parse('{"type":"queued","jobsAhead":"1","attempt":1}')).toThrow(
      "jobsAhead",
    );
    expect(() => json(eventDataSchema).parse('{"type":"other"}')).toThrow("type");
  });
});
