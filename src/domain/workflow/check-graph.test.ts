import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { assertGraphLaws, graphTexts, jsonTexts } from "../../../test/fuzz/graph-laws.ts";
import { buildNodeClass } from "../../../test/support/node-classes.ts";
import type { GraphNode, GraphValue, WorkflowGraph } from "../graph.ts";
import type { NodeClass, NodeInput } from "../node-class.ts";
import { checkGraph } from "./check-graph.ts";
import type { GraphProblem } from "./graph-problem.ts";

function classOf(name: string, facts: Partial<NodeClass>): NodeClass {
  return buildNodeClass(name, { module: "nodes", ...facts });
}

function input(name: string, type: string, facts: Partial<NodeInput> = {}): NodeInput {
  return { name, type, isRequired: true, options: {}, ...facts };
}

const classes = new Map(
  [
    classOf("Draw", {
      inputs: [
        input("seed", "INT", { min: 0, max: 2n ** 64n - 1n }),
        input("strength", "FLOAT", { isRequired: false, max: 1 }),
        input("style", "COMBO", { isRequired: false, choices: ["oil", "ink", "chalk"] }),
        input("tags", "COMBO", { isRequired: false, choices: ["a", "b"], options: { multiselect: true } }),
        input("mask", "MASK", { isRequired: false }),
      ],
      outputs: [
        { name: "IMAGE", type: "IMAGE", isList: false },
        { name: "MASK", type: "MASK", isList: false },
      ],
    }),
    classOf("Invert", {
      inputs: [input("image", "IMAGE")],
      outputs: [{ name: "IMAGE", type: "IMAGE", isList: false }],
    }),
    classOf("LoadImage", {
      inputs: [input("image", "COMBO", { choices: ["a.png"], options: { image_upload: true } })],
      outputs: [{ name: "IMAGE", type: "IMAGE", isList: false }],
    }),
    classOf("Riddle", { isUndescribed: true }),
    classOf("Any", { outputs: [{ name: "x", type: "*", isList: false }] }),
    classOf("Union", { outputs: [{ name: "x", type: "LATENT, IMAGE", isList: false }] }),
    classOf("Foreign", {
      module: "custom_nodes.foreign",
      inputs: [
        input("image", "IMAGE"),
        input("size", "INT", { max: 8 }),
        input("model", "COMBO", { choices: ["m"] }),
      ],
      outputs: [{ name: "IMAGE", type: "IMAGE", isList: false }],
    }),
    classOf("Dynamic", {
      module: "comfy_extras.nodes_dynamic",
      inputs: [
        input("mode", "COMFY_DYNAMICCOMBO_V3"),
        input("images", "COMFY_AUTOGROW_V3"),
        input("like", "COMFY_MATCHTYPE_V3"),
      ],
      outputs: [{ name: "x", type: "COMFY_MATCHTYPE_V3", isList: false }],
    }),
    classOf("Save", { inputs: [input("images", "IMAGE")], isOutput: true }),
  ].map((one) => [one.name, one]),
);

function node(class_type: string, inputs: Record<string, GraphValue> = {}): GraphNode {
  return { class_type, inputs };
}

/** What is found in a drawing with these inputs that is saved. */
function foundIn(inputs: Record<string, GraphValue>, more: WorkflowGraph = {}): GraphProblem[] {
  return checkGraph(
    { d: node("Draw", { seed: 1, ...inputs }), s: node("Save", { images: ["d", 0] }), ...more },
    classes,
  );
}

/** What is found when this is saved. */
function foundFrom(link: GraphValue, more: WorkflowGraph): GraphProblem[] {
  return checkGraph({ ...more, s: node("Save", { images: link }) }, classes);
}

describe("checkGraph", () => {
  it("finds nothing in a good graph", () => {
    expect(
      foundIn(
        { strength: "0.5", style: "ink", tags: { __value__: ["a", "b"] }, mask: ["d2", 1] },
        {
          d2: node("Draw", { seed: 2n ** 64n - 1n }),
        },
      ),
    ).toEqual([]);
  });

  it.each<[string, Record<string, GraphValue>, GraphProblem["kind"], string, string, string]>([
    [
      "text for a number",
      { seed: "x" },
      "invalid_input_type",
      "seed",
      'seed is "x", and no INT',
      "give an integer from 0 to 18446744073709551615",
    ],
    [
      "nothing for a number",
      { strength: null },
      "invalid_input_type",
      "strength",
      "strength is null, and no FLOAT",
      "give a number up to 1",
    ],
    [
      "a value too small",
      { seed: -1 },
      "value_smaller_than_min",
      "seed",
      "seed is -1, below its least value, 0",
      "give an integer from 0 to",
    ],
    [
      "a value too great",
      { strength: 1.01 },
      "value_bigger_than_max",
      "strength",
      "strength is 1.01, above its greatest value, 1",
      "up to 1",
    ],
    [
      "an unknown choice",
      { style: "chalks" },
      "value_not_in_list",
      "style",
      'style is "chalks", which is none of the 3 choices of Draw',
      "the nearest it has: chalk",
    ],
    [
      "an unknown one of several choices",
      { tags: { __value__: ["a", "c"] } },
      "value_not_in_list",
      "tags",
      'tags is "c"',
      "the nearest",
    ],
    [
      "several where one is to be chosen",
      { style: { __value__: ["ink"] } },
      "value_not_in_list",
      "style",
      "style is a list",
      "the nearest",
    ],
    [
      "a list that is no link",
      { mask: ["d"] },
      "bad_linked_input",
      "mask",
      "mask is a list, and no link",
      "__value__",
    ],
    [
      "a link by number",
      { mask: [1, 0] },
      "bad_linked_input",
      "mask",
      "mask is a list, and no link",
      "a link is",
    ],
    [
      "a link to nothing",
      { mask: ["x", 0] },
      "linked_node_missing",
      "mask",
      'mask is linked to node "x", which is not',
      "add that node",
    ],
    [
      "a link to what objects have",
      { mask: ["toString", 0] },
      "linked_node_missing",
      "mask",
      "which is not in the graph",
      "add",
    ],
    [
      "a link to itself",
      { mask: ["d", 1] },
      "dependency_cycle",
      "mask",
      "mask closes a circle of nodes that wait for each other: d ← d",
      "outside",
    ],
  ])("finds %s", (_what, inputs, kind, inputName, message, remedy) => {
    expect(foundIn(inputs)).toEqual([
      {
        kind,
        severity: "error",
        nodeId: "d",
        classType: "Draw",
        inputName,
        message: expect.stringContaining(message),
        remedy: expect.stringContaining(remedy),
        ...(kind === "value_not_in_list" &&
          !message.endsWith("a list") && { unknownName: expect.any(String) }),
      },
    ]);
  });

  it("finds what is wrong with the class of a node, in use or not", () => {
    expect(foundIn({}, { x: { ...node("Drow"), _meta: { title: "Mine" } } })).toEqual([
      {
        kind: "missing_node_type",
        severity: "error",
        nodeId: "x",
        classType: "Drow",
        title: "Mine",
        message: "the backend has no node class Drow",
        remedy: expect.stringContaining("Draw"),
        unknownName: "Drow",
      },
    ]);
  });

  it("finds what is missing", () => {
    expect(checkGraph({ s: node("Save") }, classes)).toMatchObject([
      {
        kind: "required_input_missing",
        nodeId: "s",
        inputName: "images",
        remedy: "link it to an output of type IMAGE",
      },
    ]);
    expect(foundFrom(["d", 0], { d: node("Draw") })).toMatchObject([
      {
        kind: "required_input_missing",
        inputName: "seed",
        remedy: expect.stringContaining("or give it a value"),
      },
    ]);
    expect(checkGraph({ d: node("Draw", { seed: 1 }) }, classes)).toMatchObject([
      { kind: "prompt_no_outputs", nodeId: "" },
    ]);
  });

  it("finds outputs that there are not, counted from the end too, as Python does", () => {
    const draw = { d: node("Draw", { seed: 1 }) };
    expect(foundFrom(["d", 2], draw)).toMatchObject([
      {
        kind: "linked_output_missing",
        message: expect.stringContaining("which has 2"),
        remedy: "choose one from 0 to 1",
      },
    ]);
    expect(foundFrom(["d", -3], draw)).toMatchObject([{ kind: "linked_output_missing" }]);
    expect(foundFrom(["d", -2], draw)).toEqual([]);
    expect(foundFrom(["s", 0], {})).toMatchObject([
      { kind: "linked_output_missing", remedy: "link it to another node" },
      { kind: "dependency_cycle" },
    ]);
  });

  it("finds links between types that do not fit, and no others", () => {
    expect(foundFrom(["d", 1], { d: node("Draw", { seed: 1 }) })).toMatchObject([
      {
        kind: "return_type_mismatch",
        severity: "error",
        message: expect.stringContaining("which gives MASK"),
      },
    ]);
    expect(foundFrom(["x", 0], { x: node("Any") })).toEqual([]);
    expect(foundFrom(["x", 0], { x: node("Union") })).toEqual([]);
  });

  it("finds everything at once, in the order in which the outputs need it", () => {
    const graph = {
      "1": node("Draw", { seed: -1, strength: 2 }),
      "2": node("Invert", { image: ["1", 5] }),
      "3": node("Save", { images: ["2", 0] }),
      "4": node("Save"),
      "5": node("Draw", { seed: "unused" }),
    };
    expect(
      checkGraph(graph, classes).map(({ nodeId, inputName, kind }) => `${nodeId}.${inputName} ${kind}`),
    ).toEqual([
      "2.image linked_output_missing",
      "1.seed value_smaller_than_min",
      "1.strength value_bigger_than_max",
      "4.images required_input_missing",
    ]);
  });

  it("shows one link from a node of an unknown class to each node that it closes a circle with", () => {
    const inputs = Object.fromEntries(Array.from({ length: 5 }, (_, i) => [`i${i}`, ["x", 0] as GraphValue]));
    expect(foundFrom(["x", 0], { x: node("Nobody", inputs) }).map(({ kind }) => kind)).toEqual([
      "missing_node_type",
      "dependency_cycle",
    ]);
  });

  it("refuses a link that is disguised as a literal", () => {
    expect(foundIn({ seed: { __value__: ["outside", 0] } })).toMatchObject([
      { kind: "bad_linked_input", inputName: "seed", severity: "error" },
    ]);
  });

  it("names the nodes of a circle once", () => {
    const ring = Object.fromEntries(
      Array.from({ length: 2_000 }, (_, i) => [
        `n${i}`,
        node("Invert", { image: [`n${(i + 1) % 2_000}`, 0] }),
      ]),
    );
    expect(foundFrom(["n0", 0], ring)).toMatchObject([
      {
        kind: "dependency_cycle",
        nodeId: "n1999",
        message: expect.stringContaining("n0 ← n1 ← n2 ← n3 ← n4 ← n5 ← n6 ← n7 ← n8 ← … ← n1999 ← n0"),
      },
    ]);
  });

  it("leaves to the backend what other people's classes may allow", () => {
    const found = foundFrom(["f", 0], {
      f: node("Foreign", { image: ["d", 1], size: 9, model: "n", more: 1 }),
      d: node("Draw", { seed: 1 }),
    });
    expect(found.map(({ severity, kind }) => `${severity} ${kind}`)).toEqual([
      "warning return_type_mismatch",
      "warning value_bigger_than_max",
      "warning value_not_in_list",
      "warning unknown_input",
    ]);
  });

  it("warns of a file that the backend does not list, and of no more", () => {
    expect(foundFrom(["l", 0], { l: node("LoadImage", { image: "b.png" }) })).toMatchObject([
      {
        kind: "value_not_in_list",
        severity: "warning",
        inputName: "image",
        message: 'image is "b.png", which is none of the files that the backend lists',
        remedy: expect.stringContaining("an image with the request"),
      },
    ]);
  });

  it("leaves files to the backend, and inputs that come and go", () => {
    for (const image of ["a.png", "sub/b.png", "b.png [output]"]) {
      expect(foundFrom(["l", 0], { l: node("LoadImage", { image }) })).toEqual([]);
    }
    expect(
      foundFrom(["x", 0], {
        x: node("Dynamic", { like: ["x2", 0], "images.0": 1, mode: 7 }),
        x2: node("Any"),
      }),
    ).toEqual([]);
    expect(foundFrom(["x", 0], { x: node("Dynamic") })).toMatchObject([
      { kind: "required_input_missing", inputName: "like" },
    ]);
  });

  it("checks nothing of a class that is not described, but what it is linked to, and says so", () => {
    const riddle = node("Riddle", { image: ["d", 0], size: "x", list: [1, 2, 3] });
    const warning = { severity: "warning", kind: "class_not_described", nodeId: "r" };
    expect(foundFrom(["r", 7], { r: riddle, d: node("Draw", { seed: 1 }) })).toEqual([
      expect.objectContaining(warning),
    ]);
    expect(foundFrom(["r", 7], { r: riddle, d: node("Draw", { seed: -1 }) })).toMatchObject([
      warning,
      { severity: "error", kind: "value_smaller_than_min", nodeId: "d" },
    ]);
  });

  it("leaves to the backend whether a class that is not described is an output", () => {
    expect(checkGraph({ r: node("Riddle"), d: node("Draw", { seed: 1 }) }, classes)).toMatchObject([
      { severity: "warning", kind: "class_not_described" },
    ]);
  });

  it("warns of inputs that a class does not have", () => {
    expect(foundIn({ sead: 1 })).toMatchObject([
      { severity: "warning", kind: "unknown_input", message: "Draw has no input sead, and it has no effect" },
    ]);
  });

  it("compares no more names than it has time for", () => {
    const many = new Map(classes);
    for (let i = 0; i < 2_000; i++) {
      many.set(`Class${i}`, classOf(`Class${i}`, {}));
    }
    const unknown = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`${i}`, node(`Klass${i}`)]));
    const found = checkGraph(unknown, many);
    expect(found).toHaveLength(1_000);
    expect(found[0]?.remedy).toContain("the nearest it has: Class0");
    expect(found.at(-1)?.remedy).toContain("choose one of the 2009 that the backend has");
  });

  it("agrees with the built-in engine on any graph", () => {
    fc.assert(
      fc.property(graphTexts, (text) => {
        assertGraphLaws(text);
      }),
      { numRuns: 1_500 },
    );
  });

  it("takes any text without a failure", () => {
    fc.assert(
      fc.property(jsonTexts, (text) => {
        assertGraphLaws(text);
      }),
      { numRuns: 500 },
    );
  });
});
