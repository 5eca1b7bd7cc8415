import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ListSamplersResponseSchema } from "../../gen/comfyrpc/v1/catalog_service_pb.js";
import { tagged } from "./etag.ts";

const answer = fc.record({
  samplers: fc.array(fc.record({ name: fc.string(), backends: fc.array(fc.string()) })),
  backends: fc.array(fc.string()),
});

describe("tagged", () => {
  it("gives equal answers equal etags, and others others", () => {
    fc.assert(
      fc.property(answer, answer, (one, other) => {
        const { etag } = tagged(ListSamplersResponseSchema, one, "");
        expect(tagged(ListSamplersResponseSchema, structuredClone(one), "").etag).toBe(etag);
        fc.pre(JSON.stringify(one) !== JSON.stringify(other));
        expect(tagged(ListSamplersResponseSchema, other, "").etag).not.toBe(etag);
      }),
    );
  });

  it("leaves out everything but the etag for whoever has the answer", () => {
    const content = { samplers: [{ name: "euler", backends: ["a"] }], backends: ["a"] };
    const whole = tagged(ListSamplersResponseSchema, content, "");
    expect(whole).toMatchObject({ ...content, notModified: false, etag: expect.stringMatching(/^.{22}$/) });
    expect(tagged(ListSamplersResponseSchema, content, "another")).toEqual(whole);
    expect(tagged(ListSamplersResponseSchema, content, whole.etag)).toMatchObject({
      samplers: [],
      backends: [],
      notModified: true,
      etag: whole.etag,
    });
  });
});
