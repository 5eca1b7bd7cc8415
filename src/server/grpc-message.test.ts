import fc from "fast-check";
import { expect, it } from "vitest";
import { encodeStatusMessage } from "./grpc-message.ts";

it("leaves printable ASCII readable and can be decoded by the rules of a URI", () => {
  expect(encodeStatusMessage('spec.steps: 151, 50 % more; "ü"')).toBe(
    'spec.steps: 151, 50 %25 more; "%C3%BC"',
  );
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (message) => {
      const encoded = encodeStatusMessage(message);
      expect(encoded).toMatch(/^[\x20-\x7e]*$/);
      expect(decodeURIComponent(encoded)).toBe(message);
    }),
  );
});

it("encodes half of a surrogate pair, such as a cut text may end with", () => {
  expect(encodeStatusMessage("fox \ud83e")).toBe("fox %EF%BF%BD");
});
