import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { JobFilterSchema } from "../../gen/comfyrpc/v1/job_service_pb.js";
import { JobState } from "../../gen/comfyrpc/v1/job_state_pb.js";
import { createJobPageToken, parseJobPageToken } from "./job-page-token.ts";

const filter = create(JobFilterSchema, {
  states: [JobState.QUEUED],
  labels: { a: "1", b: "2" },
  createTimeFrom: timestampFromMs(1),
});
const start = {
  createTime: new Date("2026-03-01T12:00:00.123Z"),
  id: "0d9a0f6a-7b1c-4e5d-8f00-123456789abc",
};

describe("a page token", () => {
  it("brings back where the page begins", () => {
    const anyStart = fc.record({
      createTime: fc.date({ noInvalidDate: true }),
      id: fc.uuid(),
    });
    fc.assert(
      fc.property(anyStart, (from) => {
        const token = createJobPageToken(from, filter);
        expect(token.length).toBeLessThanOrEqual(256);
        expect(parseJobPageToken(token, filter)).toEqual(from);
      }),
    );
  });

  it("is good for an equal filter, whatever the order of its labels", () => {
    const token = createJobPageToken(start, filter);
    const equal = create(JobFilterSchema, { ...filter, labels: { b: "2", a: "1" } });
    expect(parseJobPageToken(token, equal)).toEqual(start);
    expect(parseJobPageToken(createJobPageToken(start, undefined), create(JobFilterSchema))).toEqual(start);
  });

  it.each([
    ["another filter", createJobPageToken(start, create(JobFilterSchema))],
    ["no base64url", `${createJobPageToken(start, filter)}=`],
    ["text", "next"],
    ["a changed time", tampered(3)],
    ["a changed id", tampered(12)],
    ["a changed seal", tampered(40)],
    ["another version", tampered(0)],
    ["too short", createJobPageToken(start, filter).slice(0, -4)],
    ["too long", `${createJobPageToken(start, filter)}AAAA`],
  ])("is refused: %s", (_, token) => {
    expect(() => parseJobPageToken(token, filter)).toThrow(
      expect.objectContaining({
        reason: "INVALID_FIELD",
        details: { violations: [expect.objectContaining({ field: "page_token" })] },
      }),
    );
  });
});

function tampered(at: number): string {
  const bytes = Buffer.from(createJobPageToken(start, filter), "base64url");
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  return bytes.toString("base64url");
}
