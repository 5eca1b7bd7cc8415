import { describe, expect, it } from "vitest";
import { ServiceError } from "../errors.ts";
import { type DraftParameter, defineTemplate } from "./define-template.ts";
import { hashTemplate } from "./template-hash.ts";
import { classesOf, nodeClass, textToImage } from "./testing/graphs.ts";
import { buildParameter } from "./testing/parameters.ts";

const draft = (...parameters: readonly DraftParameter[]) => ({
  ...{ name: "any", description: "", graph: textToImage, parameters },
});
const steps = buildParameter("steps", "integer", ["3.steps"]);

describe("defineTemplate", () => {
  it("gives what may be left out the value that it has in the graph", () => {
    const { parameters } = defineTemplate(
      draft(
        steps,
        buildParameter("prompt", "text", ["6.text"], { isRequired: true }),
        buildParameter("seed", "seed", ["3.seed"]),
        buildParameter("checkpoint", "choice", ["4.ckpt_name"], { defaultsToFirst: true }),
        buildParameter("width", "integer", ["5.width"], { default: 1024 }),
      ),
    );
    expect(parameters.map((parameter) => parameter.default)).toEqual([
      ...[20, undefined, undefined, undefined, 1024],
    ]);
  });

  it.each<[field: string, text: RegExp, ...parameters: DraftParameter[]]>([
    ["parameters[0].name", /lowercase letter/, { ...steps, name: "Steps" }],
    ["parameters[1].name", /two parameters "steps"/, steps, { ...steps, targets: [target("3", "cfg")] }],
    ["parameters[0].targets", /no input/, { ...steps, targets: [], isRequired: true }],
    [
      "parameters[0].targets[0].node_id",
      /no node "33"; the nearest it has: 3/,
      { ...steps, targets: [target("33", "steps")], default: 1 },
    ],
    [
      "parameters[0].targets[0].input_name",
      /node 3 \(KSampler\) has no input "step"; the nearest it has: steps/,
      { ...steps, targets: [target("3", "step")], default: 1 },
    ],
    [
      "parameters[0].targets[0].input_name",
      /comes from node "5"/,
      { ...steps, targets: [target("3", "latent_image")], default: 1 },
    ],
    [
      "parameters[0].targets[0].input_name",
      /holds text, which no parameter of type integer can set/,
      { ...steps, targets: [target("6", "text")], default: 1 },
    ],
    [
      "parameters[1].targets[0]",
      /the parameter steps sets this input already/,
      steps,
      { ...steps, name: "b" },
    ],
    ["parameters[0].max", /must not be below min, which is 30/, { ...steps, min: 30, max: 20, default: 30 }],
    ["parameters[0].default_value", /must be from 1 to 10, not 20/, { ...steps, min: 1, max: 10 }],
    ["parameters[0].default_value", /must be a whole number/, { ...steps, default: 1.5 }],
    ["parameters[0].default_value", /say one or the other/, { ...steps, isRequired: true, default: 5 }],
    [
      "parameters[0].default_value",
      /do not hold one value/,
      buildParameter("side", "integer", ["5.width", "5.height"]),
    ],
    ["parameters[0].min", /whole number/, { ...steps, min: 0.5 }],
    ["parameters[0].min", /of type text has none/, buildParameter("p", "text", ["6.text"], { min: 1 })],
    ["parameters[0].step", /of type seed has none/, buildParameter("s", "seed", ["3.seed"], { step: 2 })],
    ["parameters[0].step", /above 0/, { ...steps, step: 0 }],
    ["parameters[0].max_length", /of type integer has none/, { ...steps, maxLength: 5 }],
    ["parameters[0].choices", /of type integer has none/, { ...steps, choices: [1] }],
    [
      "parameters[0].choices",
      /twice/,
      buildParameter("s", "choice", ["3.scheduler"], { choices: ["normal", "normal"] }),
    ],
    ["parameters[0].defaults_to_first", /only for a choice/, { ...steps, defaultsToFirst: true }],
    [
      "parameters[0].defaults_to_first",
      /neither with required/,
      buildParameter("s", "choice", ["3.scheduler"], { defaultsToFirst: true, isRequired: true }),
    ],
  ])("refuses %s: %s", (field, text, ...parameters) => {
    const { reason, details } = failure(() => defineTemplate(draft(...parameters)));
    expect(reason).toBe("INVALID_FIELD");
    expect(details.violations).toContainEqual({ field, description: expect.stringMatching(text) });
  });

  it("knows by the node classes what else an input can be, and what it takes", () => {
    const classes = classesOf(
      nodeClass("KSampler", [
        { name: "steps", type: "INT" },
        { name: "extra", type: "FLOAT" },
      ]),
    );
    const fraction = { ...steps, type: "number" as const };
    expect(failure(() => defineTemplate(draft(fraction), classes)).details.violations).toEqual([
      {
        field: "parameters[0].targets[0].input_name",
        description: "node 3 (KSampler) takes INT there, which no parameter of type number gives",
      },
    ]);
    const extra = buildParameter("extra", "number", ["3.extra"], { default: 0.5 });
    expect(defineTemplate(draft(extra), classes).parameters).toEqual([extra]);
  });
});

describe("hashTemplate", () => {
  it("tells apart what would behave or look different, and nothing else", () => {
    const template = defineTemplate(draft(steps));
    const reordered = Object.fromEntries(
      Object.entries(textToImage).map(([id, { class_type, inputs }]) => [id, { inputs, class_type }]),
    );
    expect(hashTemplate({ ...template, graph: reordered })).toBe(hashTemplate(template));
    const others = [
      { ...template, description: "other" },
      { ...template, parameters: [] },
      { ...template, parameters: [{ ...steps, default: 21 }] },
      { ...template, parameters: [{ ...steps, default: 20, max: 30 }] },
      { ...template, graph: { ...textToImage, "9": { class_type: "PreviewImage", inputs: {} } } },
    ];
    expect(new Set([template, ...others].map(hashTemplate)).size).toBe(others.length + 1);
  });
});

function target(nodeId: string, inputName: string) {
  return { nodeId, inputName };
}

function failure(work: () => unknown): ServiceError {
  try {
    work();
  } catch (error) {
    return error instanceof ServiceError ? error : expect.fail(String(error));
  }
  return expect.fail("nothing was thrown");
}
