import { expect, it } from "vitest";
import { resolveOutput } from "./resolve-output.ts";

it("gives lossy formats their default quality and PNG none", () => {
  expect(resolveOutput({ format: "webp", stripMetadata: false })).toMatchObject({ quality: 80 });
  expect(resolveOutput({ stripMetadata: false })).toEqual({
    format: "png",
    inlineLimitBytes: 3_670_016,
    stripMetadata: false,
  });
});
