import { describe, expect, it } from "vitest";
import type { Json, JsonObject } from "./json.ts";
import { createModelCatalog } from "./models.ts";
import type { NodeDefinition, Surroundings } from "./nodes/node.ts";
import { nodeClasses } from "./nodes/registry.ts";
import { nowhere } from "./testing/nowhere.ts";
import { txt2img } from "./testing/test-client.ts";
import { validatePrompt } from "./validate.ts";

const surroundings: Surroundings = {
  models: createModelCatalog(),
  files: nowhere,
};

const validate = (prompt: Json, targets?: readonly string[]) =>
  validatePrompt(prompt, targets, nodeClasses, surroundings);

/** The graph with one input of one node changed; `undefined` removes it. */
function changed(nodeId: "3" | "4" | "5" | "8" | "9", input: string, value: Json | undefined): JsonObject {
  const graph = txt2img();
  const node = graph[nodeId];
  const { [input]: _, ...rest }: Record<string, Json> = node.inputs;
  const inputs = value === undefined ? rest : { ...rest, [input]: value };
  return { ...graph, [nodeId]: { ...node, inputs } };
}

describe("validation of a graph", () => {
  it("accepts a good graph and returns it as it is", () => {
    const graph = txt2img();
    expect(validate(graph)).toEqual({ ok: true, graph, outputs: ["9"], nodeErrors: {} });
  });

  it.each<[string, Json, Json]>([
    ["width", "64", 64],
    ["width", 64.9, 64],
    ["batch_size", true, 1],
    ["width", 513, 513],
  ])("converts %s from %j to %j", (input, given, wanted) => {
    expect(validate(changed("5", input, given))).toMatchObject({
      ok: true,
      graph: { "5": { inputs: { [input]: wanted } } },
    });
  });

  it("converts the digits of a large seed exactly", () => {
    expect(validate(changed("3", "seed", "18446744073709551615"))).toMatchObject({
      ok: true,
      graph: { "3": { inputs: { seed: 18446744073709551615n } } },
    });
  });

  const cases: [string, "3" | "4" | "5" | "8" | "9", string, Json | undefined, object][] = [
    [
      "a missing input",
      "3",
      "seed",
      undefined,
      { type: "required_input_missing", message: "Required input is missing", details: "seed" },
    ],
    [
      "a value below the minimum",
      "3",
      "steps",
      0,
      {
        type: "value_smaller_than_min",
        message: "Value 0 smaller than min of 1",
        details: "steps",
        extra_info: { input_name: "steps", input_config: ["INT", { min: 1, max: 10000 }], received_value: 0 },
      },
    ],
    [
      "a fraction below the minimum",
      "3",
      "cfg",
      -1,
      { type: "value_smaller_than_min", message: "Value -1.0 smaller than min of 0.0" },
    ],
    [
      "a seed beyond 64 bits",
      "3",
      "seed",
      18446744073709551616n,
      {
        type: "value_bigger_than_max",
        message: "Value 18446744073709551616 bigger than max of 18446744073709551615",
      },
    ],
    [
      "a name that is not in a long list",
      "3",
      "sampler_name",
      "euler_a",
      {
        type: "value_not_in_list",
        details: "sampler_name: 'euler_a' not in (list of length 45)",
        extra_info: { input_config: null, received_value: "euler_a" },
      },
    ],
    [
      "a name that is not in a short list",
      "4",
      "ckpt_name",
      "nope",
      {
        type: "value_not_in_list",
        details:
          "ckpt_name: 'nope' not in ['demo-sd15.safetensors', 'demo-sd15_inpaint.safetensors', 'demo-sdxl.safetensors', 'demo-sdxl_refiner.safetensors']",
        extra_info: { input_config: [expect.arrayContaining(["demo-sd15.safetensors"]), {}] },
      },
    ],
    [
      "text for a number",
      "5",
      "width",
      "wide",
      {
        type: "invalid_input_type",
        message: "Failed to convert an input value to a INT value",
        details: "width, wide, invalid literal for int() with base 10: 'wide'",
      },
    ],
    [
      "a list of the wrong length",
      "9",
      "images",
      ["8", 0, 1],
      { type: "bad_linked_input", details: "images", extra_info: { received_value: ["8", 0, 1] } },
    ],
    [
      "a link to an output of another type",
      "9",
      "images",
      ["5", 0],
      {
        type: "return_type_mismatch",
        details: "images, received_type(LATENT) mismatch input_type(IMAGE)",
        extra_info: { received_type: "LATENT", linked_node: ["5", 0] },
      },
    ],
    [
      "a link to nowhere",
      "9",
      "images",
      ["77", 0],
      { type: "exception_during_validation", details: "'77'", extra_info: { exception_type: "KeyError" } },
    ],
    [
      "a link with a number for an id",
      "9",
      "images",
      [8, 0],
      { type: "exception_during_validation", details: "8", extra_info: { exception_type: "KeyError" } },
    ],
    [
      "a link to an output that is not there",
      "9",
      "images",
      ["8", 5],
      {
        type: "exception_during_validation",
        details: "tuple index out of range",
        extra_info: { exception_type: "IndexError" },
      },
    ],
    [
      "a link further up that leads nowhere",
      "3",
      "model",
      ["77", 0],
      {
        type: "exception_during_inner_validation",
        details: "'77'",
        extra_info: { exception_type: "KeyError", linked_node: ["3", 0], input_name: "samples" },
      },
    ],
  ];

  it.each(cases)("refuses %s", (_, nodeId, input, value, error) => {
    expect(validate(changed(nodeId, input, value))).toMatchObject({
      ok: false,
      error: { type: "prompt_outputs_failed_validation", message: "Prompt outputs failed validation" },
      nodeErrors: { [nodeId]: { errors: [error], dependent_outputs: ["9"] } },
    });
  });

  const wrongUses: [string, JsonObject, string, string][] = [
    ["CLIPLoader", { clip_name: "demo-qwen.safetensors", type: "qwen" }, "type", "value_not_in_list"],
    ["CLIPLoader", { clip_name: "demo-vae.safetensors", type: "wan" }, "clip_name", "value_not_in_list"],
    [
      "DualCLIPLoader",
      {
        clip_name1: "demo-clip_l.safetensors",
        clip_name2: "demo-t5xxl.safetensors",
        type: "flux",
        device: "gpu",
      },
      "device",
      "value_not_in_list",
    ],
    [
      "UNETLoader",
      { unet_name: "demo-flux.safetensors", weight_dtype: "fp4" },
      "weight_dtype",
      "value_not_in_list",
    ],
    ["ControlNetLoader", { control_net_name: "" }, "control_net_name", "value_not_in_list"],
    [
      "CLIPSetLastLayer",
      { clip: ["4", 1], stop_at_clip_layer: 0 },
      "stop_at_clip_layer",
      "value_bigger_than_max",
    ],
    ["FluxGuidance", { conditioning: ["6", 0], guidance: -1 }, "guidance", "value_smaller_than_min"],
    ["FluxGuidance", { conditioning: ["4", 1], guidance: 1 }, "conditioning", "return_type_mismatch"],
    ["ConditioningZeroOut", {}, "conditioning", "required_input_missing"],
    ["RandomNoise", { noise_seed: "none" }, "noise_seed", "invalid_input_type"],
    ["ModelSamplingSD3", { model: ["4", 0], shift: 101 }, "shift", "value_bigger_than_max"],
  ];

  it.each(wrongUses)("refuses %s with %j for its %s as %s", (classType, inputs, input, type) => {
    const graph = {
      ...txt2img(),
      "1": { class_type: classType, inputs },
      "2": { class_type: "Any", inputs: { any: ["1", 0] } },
    };
    const any: NodeDefinition = {
      classType: "Any",
      displayName: null,
      category: "test",
      required: { any: { type: "*" } },
      outputs: [],
      isOutput: true,
      run: () => ({ values: [] }),
    };
    expect(validatePrompt(graph, ["2"], new Map([...nodeClasses, ["Any", any]]), surroundings)).toMatchObject(
      {
        ok: false,
        nodeErrors: { "1": { errors: [{ type, extra_info: { input_name: input } }] } },
      },
    );
  });

  it("accepts a literal where a link belongs: that fails only when it runs", () => {
    expect(validate(changed("9", "images", "x"))).toMatchObject({ ok: true });
  });

  it("unwraps a wrapped value", () => {
    expect(validate(changed("9", "filename_prefix", { __value__: "x" }))).toMatchObject({
      graph: { "9": { inputs: { filename_prefix: "x" } } },
    });
  });

  it("refuses an image that is not there", () => {
    const graph = {
      "1": { class_type: "LoadImage", inputs: { image: "gone.png" } },
      "2": { class_type: "PreviewImage", inputs: { images: ["1", 0] } },
    };
    expect(validate(graph)).toMatchObject({
      nodeErrors: {
        "1": {
          errors: [{ type: "custom_validation_failed", details: "image - Invalid image file: gone.png" }],
        },
      },
    });
  });

  describe("of optional inputs", () => {
    const echo: NodeDefinition = {
      classType: "Echo",
      displayName: null,
      category: "test",
      required: {},
      optional: { times: { type: "INT", options: { default: 1, min: 1 } }, image: { type: "IMAGE" } },
      outputs: [],
      isOutput: true,
      run: () => ({ values: [] }),
    };
    const check = (inputs: JsonObject) =>
      validatePrompt(
        { ...txt2img(), "1": { class_type: "Echo", inputs } },
        ["1"],
        new Map([...nodeClasses, ["Echo", echo]]),
        surroundings,
      );

    it("accepts a node without them", () => {
      expect(check({})).toMatchObject({ ok: true, outputs: ["1"] });
    });

    it("converts those that are there, and follows their links", () => {
      expect(check({ times: "2", image: ["8", 0] })).toMatchObject({
        ok: true,
        graph: { "1": { inputs: { times: 2 } } },
      });
    });

    it.each<[JsonObject, string]>([
      [{ times: 0 }, "value_smaller_than_min"],
      [{ image: ["5", 0] }, "return_type_mismatch"],
    ])("refuses %j", (inputs, type) => {
      expect(check(inputs)).toMatchObject({ ok: false, nodeErrors: { "1": { errors: [{ type }] } } });
    });
  });

  it("drops a bad output and runs the good one", () => {
    const graph = { ...txt2img(), "10": { class_type: "SaveImage", inputs: { filename_prefix: "x" } } };
    expect(validate(graph)).toMatchObject({
      ok: true,
      outputs: ["9"],
      nodeErrors: {
        "10": {
          errors: [{ type: "required_input_missing", details: "images" }],
          dependent_outputs: ["10"],
          class_type: "SaveImage",
        },
      },
    });
  });

  it("names each node of a cycle", () => {
    const graph = {
      "1": { class_type: "ImageScaleBy", inputs: { image: ["2", 0], upscale_method: "area", scale_by: 1 } },
      "2": { class_type: "ImageScaleBy", inputs: { image: ["1", 0], upscale_method: "area", scale_by: 1 } },
      "3": { class_type: "PreviewImage", inputs: { images: ["1", 0] } },
    };
    const details = "1 (ImageScaleBy) -> 2 (ImageScaleBy) -> 1 (ImageScaleBy)";
    expect(validate(graph)).toMatchObject({
      ok: false,
      nodeErrors: {
        "1": { errors: [{ type: "dependency_cycle", details, extra_info: { cycle_nodes: ["1", "2"] } }] },
        "2": { errors: [{ type: "dependency_cycle", details }] },
      },
    });
  });

  it.each<[string, Json, object]>([
    [
      "an unknown class",
      { "1": { class_type: "Nope", inputs: {}, _meta: { title: "My node" } } },
      {
        type: "missing_node_type",
        details: "Node ID '#1'",
        extra_info: { node_id: "1", class_type: "Nope", node_title: "My node" },
      },
    ],
    [
      "a missing class",
      { "1": { inputs: {} } },
      { type: "missing_node_type", extra_info: { class_type: null } },
    ],
    ["a graph without outputs", { "5": txt2img()["5"] }, { type: "prompt_no_outputs" }],
    ["an empty graph", {}, { type: "prompt_no_outputs" }],
  ])("refuses %s as a whole", (_, graph, error) => {
    expect(validate(graph)).toMatchObject({ ok: false, error, nodeErrors: {} });
  });

  it("counts only the outputs that are asked for", () => {
    const graph = { ...txt2img(), "10": { class_type: "PreviewImage", inputs: { images: ["8", 0] } } };
    expect(validate(graph, ["10"])).toMatchObject({ ok: true, outputs: ["10"] });
    expect(validate(graph, ["8"])).toMatchObject({ ok: false, error: { type: "prompt_no_outputs" } });
  });

  it("throws where ComfyUI fails over the form of the request", () => {
    expect(() => validate([])).toThrow(TypeError);
    expect(() => validate({ "1": 5 })).toThrow(TypeError);
  });
});
