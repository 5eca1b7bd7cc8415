import { expect, it } from "vitest";
import type { OutputSpec } from "../generation.ts";
import { Problems } from "./problems.ts";
import { type AiMarkPolicy, resolveOutput } from "./resolve-output.ts";

function resolve(output: OutputSpec, policy: AiMarkPolicy = "on") {
  const problems = new Problems();
  const resolved = resolveOutput(output, policy, problems);
  problems.throwIfAny();
  return resolved;
}

it("gives lossy formats their default quality and PNG none, and marks images", () => {
  expect(resolve({ format: "webp" })).toMatchObject({ quality: 80 });
  expect(resolve({})).toEqual({
    format: "png",
    inlineLimitBytes: 3_670_016,
    metadata: "keep",
    aiMark: true,
  });
});

it.each([
  ["on", undefined, true],
  ["on", false, false],
  ["off", undefined, false],
  ["off", true, true],
  ["required", undefined, true],
  ["required", true, true],
] as const)("marks images as the server (%s) and the caller (%s) say: %s", (policy, asked, aiMark) => {
  expect(resolve(asked === undefined ? {} : { aiMark: asked }, policy)).toMatchObject({ aiMark });
});

it("refuses to leave out a mark that is required", () => {
  expect(() => resolve({ aiMark: false }, "required")).toThrow(
    expect.objectContaining({
      reason: "INVALID_FIELD",
      details: expect.objectContaining({
        violations: [{ field: "spec.output.ai_mark", description: expect.stringContaining("leave") }],
      }),
    }),
  );
});
