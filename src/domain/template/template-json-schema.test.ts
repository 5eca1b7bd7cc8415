import { expect, it } from "vitest";
import { templateJsonSchema } from "./template-json-schema.ts";
import { classesOf, nodeClass, textToImage } from "./testing/graphs.ts";
import { buildParameter } from "./testing/parameters.ts";

const template = {
  ...{ name: "poster", description: "For the wall.", graph: textToImage, version: 1, sha256: "" },
  createTime: new Date(0),
  parameters: [
    buildParameter("prompt", "text", ["6.text"], { isRequired: true, title: "Prompt", maxLength: 100 }),
    buildParameter("steps", "integer", ["3.steps"], { default: 20, min: 1, step: 2 }),
    buildParameter("sampler", "choice", ["3.sampler_name"], { default: "euler" }),
    buildParameter("seed", "seed", ["3.seed"]),
    buildParameter("image", "image", ["9.filename_prefix"], { isRequired: true }),
  ],
};

it("says what a run may give, as far as the backend is known", () => {
  const classes = classesOf(
    nodeClass("KSampler", [
      { name: "steps", type: "INT", min: 1, max: 10_000 },
      { name: "sampler_name", type: "COMBO", choices: ["euler", "lms"] },
    ]),
  );
  const digits = { type: "string", pattern: "^-?[0-9]{1,20}$" };
  expect(JSON.parse(templateJsonSchema(template, classes))).toMatchObject({
    $schema: "https://json-schema.org/draft/2020-12/schema",
    ...{ title: "poster", description: "For the wall.", type: "object" },
    properties: {
      prompt: { title: "Prompt", type: "string", maxLength: 100 },
      steps: {
        anyOf: [{ type: "integer", minimum: 1, maximum: 10_000, multipleOf: 2 }, digits],
        default: 20,
      },
      sampler: { enum: ["euler", "lms"], default: "euler" },
      seed: { anyOf: [{ type: "integer", minimum: 0 }, digits] },
      image: { oneOf: [{ required: ["asset_id"] }, { required: ["data"] }, { required: ["url"] }] },
    },
    required: ["prompt", "image"],
    additionalProperties: false,
  });
});

it("keeps every digit, and leaves open what it does not know", () => {
  const text = templateJsonSchema(template);
  expect(text).toContain('"maximum":18446744073709551615');
  expect(JSON.parse(text)).toMatchObject({
    properties: {
      sampler: { type: ["string", "number", "boolean"] },
      steps: { anyOf: [{ minimum: 1 }, {}] },
    },
  });
});
