import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createPageToken, parsePageToken } from "./page-token.ts";

describe("a page token", () => {
  it("brings back any position, for equal questions only", () => {
    const question = fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.integer()));
    fc.assert(
      fc.property(fc.uint8Array(), question, (position, asked) => {
        const token = createPageToken(position, asked);
        expect(parsePageToken(token, { ...asked })).toEqual(Buffer.from(position));
        expect(() => parsePageToken(token, { asked })).toThrow("page_token");
      }),
    );
  });

  it("takes any text without a failure of its own", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.base64String()), (text) => {
        expect(() => parsePageToken(text, {})).toThrow(expect.objectContaining({ reason: "INVALID_FIELD" }));
      }),
    );
  });
});
