import { describe, expect, it } from "vitest";
import { buildNodeClass } from "../../../test/support/node-classes.ts";
import { readJson } from "../../lib/lossless-json.ts";
import type { NodeClass, NodeInput } from "../node-class.ts";
import { convertWorkflow } from "./convert-workflow.ts";
import { readNodeClasses } from "./testing/node-classes.ts";

const classes = readNodeClasses();

const load = { id: 1, type: "LoadImage", widgets_values: ["example.png", "image"] };
const save = { id: 2, type: "SaveImage", inputs: [{ name: "images", type: "IMAGE", link: 1 }] };
const loadToSave = [1, 1, 0, 2, 0, "IMAGE"];

describe("convertWorkflow", () => {
  it.each([null, 5, "text", [], {}, { nodes: 5 }])("says that %j is no workflow", (workflow) => {
    const { graph, problems } = convertWorkflow(workflow, classes);
    expect(graph).toEqual({});
    expect(problems).toMatchObject([{ kind: "malformed_workflow", severity: "error" }]);
  });

  it("names every node that makes no sense", () => {
    const { problems } = convertWorkflow({ nodes: [5, { id: 1 }, { type: "Note" }, load, load] }, classes);
    expect(problems.map(({ kind }) => kind)).toEqual([
      "malformed_node",
      "malformed_node",
      "malformed_node",
      "malformed_node",
    ]);
    expect(problems.at(-1)?.message).toBe("two nodes have the id 1");
  });

  it("names every unknown class, with what is like it", () => {
    const { graph, problems } = convertWorkflow(
      {
        nodes: [
          { id: 7, type: "LoadImag", title: "Mine", properties: { cnr_id: "images-for-all" } },
          { id: 8, type: "LoadImag", mode: 2 },
          { id: 9, type: "LoadImag", mode: 4 },
        ],
      },
      classes,
    );
    expect(Object.keys(graph)).toEqual(["7"]);
    const [problem] = problems;
    expect(problems).toHaveLength(1);
    expect(problem).toMatchObject({
      kind: "missing_node_type",
      severity: "error",
      nodeId: "7",
      classType: "LoadImag",
      title: "Mine",
      message: 'the backend has no node class "LoadImag", which is of the node pack "images-for-all"',
      unknownName: "LoadImag",
    });
    expect(problem?.remedy).toMatch(/^install what has it .* the nearest it has: LoadImage,/);
  });

  it("does not repeat what has no measure", () => {
    const type = "x".repeat(100_000);
    const { problems } = convertWorkflow({ nodes: [{ id: 1, type, title: type }] }, classes);
    expect(JSON.stringify(problems).length).toBeLessThan(2_000);
  });

  it("keeps all digits of a seed", () => {
    const workflow = readJson(
      '{"nodes": [{"id": 3, "type": "KSampler", "widgets_values": [18446744073709551615, "fixed", 20, 8, "euler", "normal", 1]}]}',
    );
    expect(convertWorkflow(workflow, classes).graph["3"]?.inputs.seed).toBe(18446744073709551615n);
  });

  it("passes on what a named node takes to the nodes that get it by name", () => {
    const nodes = [
      load,
      {
        id: 3,
        type: "SetNode",
        widgets_values: ["picture"],
        inputs: [{ name: "IMAGE", type: "IMAGE", link: 1 }],
      },
      { id: 4, type: "GetNode", widgets_values: ["picture"] },
      { ...save, inputs: [{ name: "images", type: "IMAGE", link: 2 }] },
    ];
    const links = [
      [1, 1, 0, 3, 0, "IMAGE"],
      [2, 4, 0, 2, 0, "IMAGE"],
    ];
    const { graph, problems } = convertWorkflow({ nodes, links }, classes);
    expect(problems).toEqual([]);
    expect(Object.keys(graph)).toEqual(["1", "2"]);
    expect(graph["2"]?.inputs.images).toEqual(["1", 0]);
  });

  it("takes values that are saved by name, those of inputs that only the node has included", () => {
    const combine = nodeClass("VideoCombine", [
      { name: "frame_rate", type: "FLOAT", default: 8 },
      { name: "seed", type: "INT" },
      { name: "format", type: "COMBO", choices: ["video/h264-mp4"] },
    ]);
    const { graph, problems } = convertWorkflow(
      {
        nodes: [
          {
            id: 1,
            type: "VideoCombine",
            widgets_values: {
              format: "video/h264-mp4",
              frame_rate: 24,
              crf: 19,
              videopreview: { hidden: false },
            },
          },
        ],
      },
      new Map([["VideoCombine", combine]]),
    );
    expect(problems).toEqual([]);
    expect(graph["1"]?.inputs).toEqual({ frame_rate: 24, seed: 0, format: "video/h264-mp4", crf: 19 });
  });

  it("finds its way in values from before an input had its control", () => {
    const nodes = [{ id: 3, type: "KSampler", widgets_values: [5, 20, 8, "euler", "normal", 1] }];
    const { graph, problems } = convertWorkflow({ nodes }, classes);
    expect(problems).toEqual([]);
    expect(graph["3"]?.inputs).toMatchObject({ seed: 5, steps: 20, sampler_name: "euler", denoise: 1 });
  });

  it("goes by the names of values whose order is that of another version of the class", () => {
    const moved = {
      id: 3,
      type: "KSampler",
      widgets_values: [20, 8, "new", 5, "fixed", "euler", "normal", 1],
      widgets_values_named: { steps: 20, cfg: 8, new: "new", seed: 5, control_after_generate: "fixed" },
    };
    const same = {
      ...moved,
      id: 4,
      widgets_values: [6, "fixed", 20, 8, "euler", "normal", 1],
      widgets_values_named: { seed: 5 },
    };
    const { graph, problems } = convertWorkflow({ nodes: [moved, same] }, classes);
    expect(problems).toEqual([]);
    expect(graph["3"]?.inputs).toMatchObject({ seed: 5, steps: 20, cfg: 8, denoise: 1 });
    expect(graph["3"]?.inputs).not.toHaveProperty("control_after_generate");
    expect(graph["4"]?.inputs.seed).toBe(6);
  });

  it("gives the value of a primitive to what a subgraph shows", () => {
    const subgraph = {
      id: "s",
      nodes: [
        {
          id: 5,
          type: "EmptyLatentImage",
          inputs: [{ name: "width", type: "INT", link: 1, widget: { name: "width" } }],
          widgets_values: [64, 64, 1],
        },
      ],
      links: [{ id: 1, origin_id: -10, origin_slot: 0, target_id: 5, target_slot: 0 }],
      inputs: [{ name: "width", type: "INT" }],
    };
    const nodes = [
      { id: 1, type: "PrimitiveNode", widgets_values: [768, "fixed"] },
      { id: 2, type: "s", inputs: [{ name: "width", type: "INT", link: 1 }], widgets_values: [512] },
    ];
    const { graph } = convertWorkflow(
      { nodes, links: [[1, 1, 0, 2, 0, "INT"]], definitions: { subgraphs: [subgraph] } },
      classes,
    );
    expect(graph["2:5"]?.inputs.width).toBe(768);
  });

  it.each([2, 4])("leaves out a subgraph of mode %i within another one", (mode) => {
    const subgraphs = [
      { id: "outer", nodes: [{ id: 3, type: "inner", mode }, load] },
      { id: "inner", nodes: [load] },
    ];
    const { graph } = convertWorkflow(
      { nodes: [{ id: 9, type: "outer" }], definitions: { subgraphs } },
      classes,
    );
    expect(Object.keys(graph)).toEqual(["9:1"]);
  });

  it("counts what a subgraph showed of a class that the backend lacks", () => {
    const subgraph = {
      id: "s",
      nodes: [
        {
          id: 5,
          type: "Unknown",
          inputs: [{ name: "x", type: "INT", link: 1, widget: { name: "x" } }],
        },
        {
          id: 6,
          type: "EmptyLatentImage",
          inputs: [{ name: "width", type: "INT", link: 2, widget: { name: "width" } }],
          widgets_values: [64, 64, 1],
        },
      ],
      links: [
        { id: 1, origin_id: -10, origin_slot: 0, target_id: 5, target_slot: 0 },
        { id: 2, origin_id: -10, origin_slot: 1, target_id: 6, target_slot: 0 },
      ],
      inputs: [
        { name: "x", type: "INT" },
        { name: "width", type: "INT" },
      ],
    };
    const { graph } = convertWorkflow(
      { nodes: [{ id: 1, type: "s", widgets_values: [3, 512] }], definitions: { subgraphs: [subgraph] } },
      classes,
    );
    expect(graph["1:6"]?.inputs.width).toBe(512);
  });

  it("passes links through a bypassed node of an unknown class by the types that were saved", () => {
    const unknown = {
      id: 3,
      type: "Unknown",
      mode: 4,
      inputs: [
        { name: "mask", type: "MASK", link: null },
        { name: "image", type: "IMAGE", link: 1 },
      ],
      outputs: [{ name: "image", type: "IMAGE" }],
    };
    const nodes = [load, unknown, { ...save, inputs: [{ name: "images", type: "IMAGE", link: 2 }] }];
    const links = [
      [1, 1, 0, 3, 1, "IMAGE"],
      [2, 3, 0, 2, 0, "IMAGE"],
    ];
    const { graph, problems } = convertWorkflow({ nodes, links }, classes);
    expect(problems).toEqual([]);
    expect(graph["2"]?.inputs.images).toEqual(["1", 0]);
  });

  it("passes over what is saved of the buttons of an input whose choices the editor fetches", () => {
    const loader = nodeClass("LoadImageOutput", [
      { name: "image", type: "COMBO", options: { remote: { route: "/files", refresh_button: true } } },
      { name: "kind", type: "COMBO", choices: ["a", "b"], options: { control_after_generate: true } },
      { name: "steps", type: "INT" },
    ]);
    const nodes = [
      {
        id: 1,
        type: "LoadImageOutput",
        widgets_values: ["x.png [output]", false, "refresh", "b", "fixed", "", 7],
      },
    ];
    const { graph } = convertWorkflow({ nodes }, new Map([["LoadImageOutput", loader]]));
    expect(graph["1"]?.inputs).toEqual({ image: "x.png [output]", kind: "b", steps: 7 });
  });

  it("finds the values among those of the buttons of a 3D scene", () => {
    const scene = nodeClass("Scene", [
      { name: "model_file", type: "COMBO", choices: ["none"] },
      { name: "viewport_state", type: "LOAD_3D" },
      { name: "width", type: "INT" },
    ]);
    const nodes = [
      {
        id: 1,
        type: "Scene",
        widgets_values: ["a.glb", "upload3dmodel", "uploadExtraResources", "clear", {}, 64],
      },
    ];
    const { graph } = convertWorkflow({ nodes }, new Map([["Scene", scene]]));
    expect(graph["1"]?.inputs).toEqual({ model_file: "a.glb", viewport_state: {}, width: 64 });
  });

  it("counts a widget of somebody else's making as one", () => {
    const drawn = nodeClass("Drawn", [
      { name: "points", type: "SPLINE" },
      { name: "model", type: "MODEL" },
      { name: "steps", type: "INT" },
      { name: "name", type: "STRING" },
    ]);
    const nodes = [
      {
        id: 1,
        type: "Drawn",
        inputs: [{ name: "model", type: "MODEL", link: null }],
        widgets_values: [[[0, 1]], 12, "x"],
      },
    ];
    const { graph, problems } = convertWorkflow({ nodes }, new Map([["Drawn", drawn]]));
    expect(problems).toEqual([]);
    expect(graph["1"]?.inputs).toEqual({ points: { __value__: [[0, 1]] }, steps: 12, name: "x" });
  });

  it("warns of values that cannot be those of their inputs", () => {
    const nodes = [{ id: 3, type: "KSampler", widgets_values: ["euler", "fixed", 20, 8, 3, "normal", 1] }];
    const { problems } = convertWorkflow({ nodes }, classes);
    expect(problems).toMatchObject([
      { kind: "value_out_of_step", severity: "warning", nodeId: "3", inputName: "seed" },
    ]);
  });

  it("takes the first of several choices in a prompt, and says so", () => {
    const nodes = [{ id: 6, type: "CLIPTextEncode", widgets_values: ["a {red|grey} fox"] }];
    const { graph, problems } = convertWorkflow({ nodes }, classes);
    expect(graph["6"]?.inputs.text).toBe("a red fox");
    expect(problems).toMatchObject([{ kind: "random_choice", severity: "warning", inputName: "text" }]);
  });

  it("says which inputs get nothing since a node is muted", () => {
    const { graph, problems } = convertWorkflow(
      { nodes: [{ ...load, mode: 2 }, save], links: [loadToSave] },
      classes,
    );
    expect(graph["2"]?.inputs).toEqual({ filename_prefix: "ComfyUI" });
    expect(problems).toMatchObject([
      { kind: "link_dropped", severity: "warning", nodeId: "2", inputName: "images" },
    ]);
  });

  it("names links that come from nowhere", () => {
    expect(convertWorkflow({ nodes: [save] }, classes).problems).toMatchObject([
      { kind: "bad_link", severity: "error", nodeId: "2", inputName: "images" },
    ]);
    expect(convertWorkflow({ nodes: [save], links: [loadToSave] }, classes).problems).toMatchObject([
      { kind: "bad_link", severity: "error", nodeId: "2", inputName: "images" },
    ]);
  });

  it("names links that go in circles", () => {
    const reroute = (id: number, link: number) => ({
      id,
      type: "Reroute",
      inputs: [{ name: "", type: "*", link }],
    });
    const links = [
      [1, 4, 0, 2, 0, "IMAGE"],
      [2, 3, 0, 4, 0, "IMAGE"],
      [3, 4, 0, 3, 0, "IMAGE"],
    ];
    const { problems } = convertWorkflow({ nodes: [save, reroute(3, 3), reroute(4, 2)], links }, classes);
    expect(problems).toMatchObject([
      { kind: "link_cycle", severity: "error", nodeId: "2", inputName: "images" },
    ]);
  });

  it("names nodes whose value only the editor has", () => {
    const webcam = nodeClass("WebcamCapture", [
      { name: "image", type: "WEBCAM" },
      { name: "width", type: "INT" },
    ]);
    const nodes = [
      { id: 1, type: "WebcamCapture", widgets_values: ["", 64] },
      { id: 2, type: "Anything Everywhere3" },
      { id: 3, type: "workflow>mine" },
      { id: 4, type: "Note" },
    ];
    const { graph, problems } = convertWorkflow({ nodes }, new Map([["WebcamCapture", webcam]]));
    expect(graph["1"]?.inputs).toEqual({ width: 64 });
    expect(problems).toMatchObject([
      { kind: "editor_only_value", severity: "error", nodeId: "1", inputName: "image" },
      { kind: "editor_only_value", severity: "error", nodeId: "2" },
      { kind: "group_node", severity: "error", nodeId: "3" },
      { kind: "note_left_out", severity: "warning", nodeId: "4" },
    ]);
  });

  it("names a subgraph that is within itself", () => {
    const subgraph = { id: "s", name: "Loop", nodes: [{ id: 5, type: "s" }], links: [] };
    const { problems } = convertWorkflow(
      { nodes: [{ id: 1, type: "s" }], definitions: { subgraphs: [subgraph] } },
      classes,
    );
    expect(problems).toMatchObject([{ kind: "recursive_subgraph", severity: "error", nodeId: "1:5" }]);
  });

  it("stops at subgraphs that would grow without measure", () => {
    const subgraphs = Array.from({ length: 30 }, (_, i) => ({
      id: `s${i}`,
      nodes: [1, 2].map((id) => ({ id, type: `s${i + 1}` })),
    }));
    const { problems } = convertWorkflow(
      { nodes: [{ id: 1, type: "s0" }], definitions: { subgraphs } },
      classes,
    );
    expect(problems.filter(({ kind }) => kind === "too_many_nodes")).toHaveLength(1);
  });

  it("stops at subgraphs within subgraphs without end", () => {
    const subgraphs = Array.from({ length: 3_000 }, (_, i) => ({
      id: `s${i}`,
      nodes: [{ id: 1, type: `s${i + 1}` }],
    }));
    const { problems } = convertWorkflow(
      { nodes: [{ id: 1, type: "s0" }], definitions: { subgraphs } },
      classes,
    );
    expect(problems).toMatchObject([{ kind: "too_many_nodes", severity: "error" }]);
  });

  it("follows long chains of links no more than once", () => {
    const length = 4_500;
    const chain = Array.from({ length }, (_, i) => ({
      id: i,
      type: "Reroute",
      inputs: [{ name: "", type: "*", link: i }],
    }));
    const ends = Array.from({ length }, (_, i) => ({
      id: length + i,
      type: "SaveImage",
      inputs: [{ name: "images", type: "IMAGE", link: length + i }],
    }));
    const links = [
      ...chain.map(({ id }) => [id, id === 0 ? 9_999 : id - 1, 0, id, 0, "*"]),
      ...ends.map(({ id }) => [id, length - 1, 0, id, 0, "*"]),
    ];
    const { graph, problems } = convertWorkflow(
      { nodes: [{ id: 9_999, type: "LoadImage" }, ...chain, ...ends], links },
      classes,
    );
    expect(problems).toEqual([]);
    expect(Object.values(graph).at(-2)?.inputs.images).toEqual(["9999", 0]);
  });

  it("says that saved values of a class that is not described mean nothing", () => {
    const riddle = nodeClass("Riddle", []);
    const known = new Map([["Riddle", { ...riddle, isUndescribed: true as const }]]);
    const saved = { nodes: [{ id: 1, type: "Riddle", widgets_values: [1] }] };
    expect(convertWorkflow(saved, known).problems).toMatchObject([
      {
        kind: "class_not_described",
        severity: "error",
        nodeId: "1",
        remedy: expect.stringContaining("API format"),
      },
    ]);
  });

  it("says that a subgraph is not in the file", () => {
    const type = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa";
    expect(convertWorkflow({ nodes: [{ id: 1, type }] }, classes).problems).toMatchObject([
      { kind: "missing_node_type", remedy: "save the workflow with the subgraph that the node stands for" },
    ]);
  });
});

function nodeClass(name: string, inputs: readonly Partial<NodeInput>[]): NodeClass {
  return buildNodeClass(name, {
    inputs: inputs.map((input) => ({ name: "", isRequired: true, type: "*", options: {}, ...input })),
    isOutput: true,
  });
}
