import { describe, expect, it } from "vitest";
import { writeJson } from "../../lib/lossless-json.ts";
import type { ServiceError } from "../errors.ts";
import { parseWorkflow } from "./parse-workflow.ts";

const limits = { maxBytes: 10_000, maxNodes: 3 };

const node = { class_type: "PreviewImage", inputs: { images: ["1", 0] } };

function parse(value: unknown) {
  return parseWorkflow(writeJson(value), limits);
}

function refusalOf(text: string): string {
  try {
    parseWorkflow(text, limits);
  } catch (error) {
    const { reason, message } = error as ServiceError;
    return `${reason}: ${message}`;
  }
  return "accepted";
}

describe("parseWorkflow", () => {
  it("reads a graph with all digits of its integers, the titles, and nothing else of the nodes", () => {
    const text =
      '{"1": {"class_type": "KSampler", "inputs": {"seed": 18446744073709551615, "cfg": 7.5}, ' +
      '"_meta": {"title": "Draw", "colour": "red"}, "is_changed": [NaN]}}';
    expect(parseWorkflow(text, limits)).toEqual({
      format: "api",
      graph: {
        "1": {
          class_type: "KSampler",
          inputs: { seed: 18446744073709551615n, cfg: 7.5 },
          _meta: { title: "Draw" },
        },
      },
    });
  });

  it("reads the body of a submission to ComfyUI, and a node that is called prompt", () => {
    expect(parse({ prompt: { "1": node }, client_id: "me" })).toEqual({
      format: "api",
      graph: { "1": node },
    });
    expect(parse({ prompt: node })).toEqual({ format: "api", graph: { prompt: node } });
  });

  it("tells what the editor saves from a graph", () => {
    const workflow = { nodes: [], links: [], version: 0.4 };
    expect(parse(workflow)).toEqual({ format: "editor", workflow });
    expect(parse({ prompt: workflow })).toEqual({ format: "editor", workflow });
    expect(parse({ nodes: node })).toMatchObject({ format: "api" });
  });

  it("finds every node that is none", () => {
    expect(parse({ a: 1, b: { inputs: {} }, c: { class_type: "X" } })).toMatchObject({
      format: "malformed",
      problems: [
        { nodeId: "a", message: 'node "a" is a number' },
        { nodeId: "b", message: 'node "b" has no "class_type"' },
        { nodeId: "c", classType: "X", message: 'node "c" has no "inputs"' },
      ],
    });
    expect(parse({ a: { class_type: 7, inputs: {} }, b: { class_type: "X", inputs: [] } })).toMatchObject({
      problems: [
        { message: 'node "a" has a number as its "class_type"' },
        { message: 'node "b" has a list as its "inputs"' },
      ],
    });
  });

  it.each([
    ["nothing", " \n", "the workflow is empty"],
    ["no JSON", "{}oops", "the workflow is not JSON from line 1, column 3 on"],
    ["JSON that breaks off", '{\n "1": 2', "the workflow is not JSON from line 2, column 8 on"],
    ["no JSON anywhere", "oops", "the workflow is not JSON; give it"],
    ["a list", "[]", "the workflow is a list"],
    ["a text", '"prompt"', "the workflow is a text"],
    ["null", "null", "the workflow is null"],
    ["no nodes", "{}", "the workflow has no nodes"],
    ["too many nodes", writeJson({ a: node, b: node, c: node, d: node }), "the workflow has 4 nodes"],
    ["too many bytes", `"${"é".repeat(5_000)}"`, "the workflow has 10002 bytes"],
    ["too deep a value", "[".repeat(9_000), "the workflow nests 9000 lists"],
    ["too long a number", `[${"9".repeat(401)}]`, "the workflow has a number of 401 characters"],
    ["too large a number", '{"1": {"x": 1e999}}', "1.x: the number is too large"],
    ["an integer of 65 bits", '{"1": {"x": [18446744073709551616]}}', "1.x.0: the integer is beyond"],
    ["half a character", '{"1": {"x": "\\ud83e"}}', "1.x: the text has half of a surrogate pair"],
    ["half a character in a name", '{"1": {"\\ud83e": 1}}', "1: the text has half"],
    ["a prototype", '{"1": {"inputs": {"__proto__": {"x": 1}}}}', '1.inputs: "__proto__" can be no name'],
    ["too long a node id", writeJson({ ["x".repeat(257)]: node }), 'the node id "xxxxx'],
  ])("refuses %s in words", (_what, text, message) => {
    expect(refusalOf(text)).toContain(`WORKFLOW_INVALID: ${message}`);
  });

  it("keeps names that objects have anyway as what they are", () => {
    const graph = { constructor: { class_type: "toString", inputs: { hasOwnProperty: 1 } } };
    expect(parse(graph)).toEqual({ format: "api", graph });
  });
});
