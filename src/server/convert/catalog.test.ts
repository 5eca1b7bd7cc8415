import { describe, expect, it } from "vitest";
import type { NodeInput } from "../../domain/node-class.ts";
import { toNodeClassMessage } from "./catalog.ts";

function messageOf(input: Partial<NodeInput>) {
  const nodeClass = {
    name: "It",
    displayName: "It",
    description: "",
    category: "",
    inputs: [{ name: "x", isRequired: false, type: "INT", options: {}, ...input }],
    outputs: [{ name: "IMAGE", type: "IMAGE", isList: true }],
    isOutput: false,
    isDeprecated: false,
    isExperimental: true,
    module: "nodes",
  };
  return toNodeClassMessage({ name: "It", backends: ["a"], nodeClass, differs: true }, true);
}

function inputOf(input: Partial<NodeInput>) {
  return messageOf(input).inputs[0];
}

describe("toNodeClassMessage", () => {
  it("writes a class, its outputs and where it is", () => {
    expect(messageOf({})).toMatchObject({
      name: "It",
      experimental: true,
      deprecated: false,
      outputNode: false,
      outputs: [{ name: "IMAGE", type: "IMAGE", list: true }],
      backends: ["a"],
      differs: true,
      module: "nodes",
    });
  });

  it("keeps every digit of a number", () => {
    const range = { default: 2n ** 63n, min: -(2n ** 63n), max: 2n ** 64n - 1n, step: 0.01 };
    expect(inputOf({ ...range, options: { ...range, control_after_generate: true } })).toMatchObject({
      defaultJson: "9223372036854775808",
      min: "-9223372036854775808",
      max: "18446744073709551615",
      step: "0.01",
      optionsJson: '{"control_after_generate":true}',
    });
  });

  it("says once what it says, and leaves nothing out", () => {
    expect(
      inputOf({
        type: "COMBO",
        choices: ["a", "b"],
        options: { tooltip: "Which one", options: ["a", "b"], min: null, step: "1" },
      }),
    ).toMatchObject({
      description: "Which one",
      choices: ["a", "b"],
      choicesAreJson: false,
      min: "",
      optionsJson: '{"min":null,"step":"1"}',
    });
  });

  it("writes choices as JSON where they are not all texts", () => {
    expect(inputOf({ type: "COMBO", choices: ["auto", 2, true] })).toMatchObject({
      choices: ['"auto"', "2", "true"],
      choicesAreJson: true,
    });
  });

  it("tells no default from one that is empty", () => {
    expect(inputOf({})?.defaultJson).toBe("");
    expect(inputOf({ default: "", options: { default: "" } })?.defaultJson).toBe('""');
    expect(inputOf({ default: null, options: { default: null } })?.defaultJson).toBe("null");
  });
});
