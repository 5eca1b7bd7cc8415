import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { asObject } from "./json-shape.ts";
import { choicesOf, parseNodeClass, parseNodeClasses } from "./node-class.ts";
import { parseWireJson } from "./wire-json.ts";

/** What a ComfyUI 0.3.64 and a 0.33.0 said of some classes, tooltips and most choices removed. */
const recorded: Readonly<Record<string, unknown>> = Object.assign(
  {},
  ...readFileSync(new URL("testdata/object-info.jsonl", import.meta.url), "utf8")
    .trim()
    .split("\n")
    .map((line) => asObject(parseWireJson(line))),
);

function parsed(name: string) {
  return parseNodeClass(name, recorded[name]);
}

function input(className: string, inputName: string) {
  return parsed(className)?.inputs.find(({ name }) => name === inputName);
}

/** A class with one required input that is declared so. */
function declaring(declaration: unknown) {
  return { input: { required: { it: declaration } }, output: ["IMAGE"] };
}

describe("parseNodeClasses", () => {
  it("reads every class of real servers", () => {
    const { classes, undescribed } = parseNodeClasses(recorded);
    expect(undescribed).toEqual([]);
    expect([...classes.keys()]).toEqual(Object.keys(recorded));
  });

  it("knows what makes no sense by its name alone, and nothing else", () => {
    const { classes, undescribed } = parseNodeClasses({
      Number: 7,
      NoInput: { output: [] },
      OddInput: declaring({ type: "INT" }),
      OddType: declaring([{ type: "INT" }]),
      NoType: declaring([]),
      OddOutput: { ...declaring(["INT"]), output: [7] },
      Good: declaring(["INT"]),
      constructor: declaring(["INT"]),
    });
    expect(undescribed).toEqual(["Number", "NoInput", "OddInput", "OddType", "NoType", "OddOutput"]);
    expect([...classes.keys()]).toEqual([...undescribed, "Good", "constructor"]);
    expect(classes.get("OddInput")).toMatchObject({ name: "OddInput", inputs: [], isUndescribed: true });
    expect(classes.get("Good")).not.toHaveProperty("isUndescribed");
  });

  it("takes any description without a failure", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (body) => {
        expect([...parseNodeClasses(body).classes.keys()]).toEqual(Object.keys(body));
      }),
    );
  });

  it("takes any declaration of an input without a failure", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (type, options) => {
        const nodeClass = parseNodeClass("It", declaring([type, options]));
        expect(nodeClass?.inputs.length).toBe(
          typeof type === "string" || Array.isArray(type) ? 1 : undefined,
        );
      }),
    );
  });
});

describe("parseNodeClass", () => {
  it("reads a class as a whole", () => {
    expect(parsed("SaveImage")).toEqual({
      name: "SaveImage",
      displayName: "Save Image",
      description: "",
      category: "image",
      inputs: [
        { name: "images", isRequired: true, type: "IMAGE", options: {} },
        {
          name: "filename_prefix",
          isRequired: true,
          type: "STRING",
          default: "ComfyUI",
          options: { default: "ComfyUI" },
        },
      ],
      outputs: [],
      isOutput: true,
      isDeprecated: false,
      isExperimental: false,
      module: "nodes",
    });
  });

  it("keeps every digit of a seed's range, and what the editor does with it", () => {
    expect(input("KSampler", "seed")).toEqual({
      name: "seed",
      isRequired: true,
      type: "INT",
      default: 0,
      min: 0,
      max: 18446744073709551615n,
      options: { default: 0, min: 0, max: 18446744073709551615n, control_after_generate: true },
    });
  });

  it.each([
    ["in place of the type", "KSampler", "scheduler", ["simple", "normal"]],
    ["beside the type", "UpscaleModelLoader", "model_name", ["4x.pth"]],
  ])("reads choices %s", (_where, className, inputName, choices) => {
    expect(input(className, inputName)).toMatchObject({ type: "COMBO", choices });
  });

  it("knows no choices that the editor has to fetch", () => {
    expect(input("LoadImageOutput", "image")).toMatchObject({ type: "COMBO", isRequired: true });
    expect(input("LoadImageOutput", "image")).not.toHaveProperty("choices");
  });

  it("keeps what dynamic inputs hold", () => {
    expect(input("ResizeImageMaskNode", "resize_type")).toMatchObject({
      type: "COMFY_DYNAMICCOMBO_V3",
      options: { options: [{ key: "scale by multiplier" }, { key: "match size" }] },
    });
    expect(input("ResizeImageMaskNode", "resize_type")).not.toHaveProperty("choices");
    expect(input("BatchImagesNode", "images")?.options).toEqual({
      template: { input: { required: { image: ["IMAGE", {}] } }, prefix: "image", min: 1, max: 50 },
    });
  });

  it("puts required inputs first", () => {
    const inputs = parsed("ControlNetApplyAdvanced")?.inputs ?? [];
    expect(inputs.map(({ name }) => name).slice(-2)).toEqual(["end_percent", "vae"]);
    expect(inputs.at(-1)?.isRequired).toBe(false);
  });

  it("goes by the order that the server states, then by that of the text", () => {
    const nodeClass = parseNodeClass("It", {
      input: { required: { 2: ["INT"], 1: ["INT"], b: ["INT"], a: ["INT"] } },
      input_order: { required: ["a", "gone", "2"] },
      output: [],
    });
    expect(nodeClass?.inputs.map(({ name }) => name)).toEqual(["a", "2", "1", "b"]);
  });

  it.each([
    ["names and lists", "RebatchImages", [{ name: "IMAGE", type: "IMAGE", isList: true }]],
    [
      "names of their own",
      "ResizeImageMaskNode",
      [{ name: "resized", type: "COMFY_MATCHTYPE_V3", isList: false }],
    ],
  ])("reads outputs with %s", (_what, className, outputs) => {
    expect(parsed(className)?.outputs).toEqual(outputs);
  });

  it.each([
    ["a list of choices", { output: [["a", "b"]] }, [{ name: "COMBO", type: "COMBO", isList: false }]],
    [
      "tuples that their author forgot",
      { output: "IMAGE", output_name: "picture" },
      [{ name: "picture", type: "IMAGE", isList: false }],
    ],
    ["no word of them", {}, []],
  ])("reads outputs that are %s", (_what, description, outputs) => {
    expect(parseNodeClass("It", { input: {}, ...description })?.outputs).toEqual(outputs);
  });

  it("calls a class by its name if it has no other, and takes bounds only of numbers", () => {
    const nodeClass = parseNodeClass("It", {
      input: { optional: { x: ["FLOAT", { min: null, max: "9", step: 0.1, default: null }] } },
      display_name: null,
      category: null,
    });
    expect(nodeClass).toMatchObject({ displayName: "It", category: "", description: "" });
    expect(nodeClass?.inputs).toEqual([
      {
        name: "x",
        isRequired: false,
        type: "FLOAT",
        default: null,
        step: 0.1,
        options: { min: null, max: "9", step: 0.1, default: null },
      },
    ]);
  });
});

describe("choicesOf", () => {
  it.each([
    [
      [["a", 2, true, null, ["x"]], {}],
      ["a", 2, true],
    ],
    [["COMBO", { options: ["a"] }], ["a"]],
    [["COMBO"], undefined],
    [["INT", { options: ["a"] }], undefined],
    [undefined, undefined],
  ])("finds in %j the choices %j", (declaration, choices) => {
    expect(choicesOf(declaration)).toEqual(choices);
  });
});
