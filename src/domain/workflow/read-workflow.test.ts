import { describe, expect, it } from "vitest";
import { demoClasses } from "../../../test/support/demo-classes.ts";
import { writeJson } from "../../lib/lossless-json.ts";
import { readWorkflow } from "./read-workflow.ts";

const limits = { maxBytes: 10_000, maxNodes: 3 };

const saved = {
  version: 0.4,
  nodes: [
    {
      id: 1,
      type: "EmptyImage",
      mode: 0,
      inputs: [],
      outputs: [{ name: "IMAGE", type: "IMAGE", links: [7] }],
      widgets_values: [64, 64, 1, 0],
    },
    {
      id: 2,
      type: "Nonsense",
      mode: 0,
      inputs: [{ name: "images", type: "IMAGE", link: 7 }],
      outputs: [],
    },
    { id: 3, type: "Note", mode: 0, inputs: [], outputs: [], widgets_values: ["remember"] },
  ],
  links: [[7, 1, 0, 2, 0, "IMAGE"]],
};

describe("readWorkflow", () => {
  it("reads a graph as it is, and what is none in words", () => {
    const graph = { "1": { class_type: "PreviewImage", inputs: {} } };
    expect(readWorkflow(writeJson(graph), demoClasses, limits)).toEqual({ graph, problems: [] });
    expect(readWorkflow('{"1": 7}', demoClasses, limits)).toMatchObject({
      graph: {},
      problems: [{ kind: "malformed_node", severity: "error" }],
    });
  });

  it("converts what the editor saves, and leaves unknown classes to be found for each backend", () => {
    const { graph, problems } = readWorkflow(writeJson(saved), demoClasses, limits);
    expect(graph).toMatchObject({ "2": { class_type: "Nonsense", inputs: { images: ["1", 0] } } });
    expect(problems).toMatchObject([{ kind: "note_left_out", severity: "warning", nodeId: "3" }]);
  });

  it("counts the nodes of what it has converted", () => {
    const read = readWorkflow(writeJson(saved), demoClasses, { ...limits, maxNodes: 1 });
    expect(read.problems.at(-1)).toMatchObject({
      kind: "too_many_nodes",
      severity: "error",
      message: "the workflow has 2 nodes; this server takes at most 1",
    });
  });
});
