import { describe, expect, it } from "vitest";
import { parseHistory } from "./record.ts";

const id = "85fcbf19-df22-4369-b2ed-f62ef5031d0d";

function history(status: unknown, rest: object = {}): unknown {
  return { [id]: { prompt: [], outputs: {}, status, meta: {}, ...rest } };
}

const error = [
  "execution_error",
  { node_id: "9", node_type: "SaveImage", exception_type: "ValueError", exception_message: "bad\n" },
];

describe("parseHistory", () => {
  it("reads success with its outputs and what was cached", () => {
    const messages = [
      ["execution_start", { prompt_id: id }],
      ["execution_cached", { nodes: ["4", "6"], prompt_id: id }],
      ["execution_success", { prompt_id: id }],
    ];
    const outputs = { "9": { images: [{ filename: "a.png", subfolder: "", type: "output" }] } };
    expect(
      parseHistory(history({ status_str: "success", completed: true, messages }, { outputs }), id),
    ).toEqual({
      end: { type: "success" },
      cachedNodeIds: ["4", "6"],
      outputs: [
        {
          kind: "file",
          nodeId: "9",
          key: "images",
          file: { filename: "a.png", subfolder: "", type: "output" },
        },
      ],
    });
  });

  it("names the node of the submitted graph for outputs of an expanded subgraph", () => {
    const outputs = { "5.0.1": { text: ["a", "a"] } };
    const meta = {
      "5.0.1": { node_id: "5.0.1", display_node: "5", parent_node: null, real_node_id: "5.0.1" },
    };
    expect(parseHistory(history({ status_str: "success" }, { outputs, meta }), id)?.outputs).toEqual([
      { kind: "text", nodeId: "5", key: "text", text: "a" },
      { kind: "text", nodeId: "5", key: "text", text: "a" },
    ]);
  });

  it("tells failed from interrupted by the last message", () => {
    const failed = history({
      status_str: "error",
      completed: false,
      messages: [["execution_start", {}], error],
    });
    const interrupted = history({
      status_str: "error",
      completed: false,
      messages: [
        ["execution_start", {}],
        ["execution_interrupted", { node_id: "3" }],
      ],
    });
    expect(parseHistory(failed, id)?.end).toEqual({
      type: "failed",
      failure: { nodeId: "9", classType: "SaveImage", exceptionType: "ValueError", message: "bad" },
    });
    expect(parseHistory(interrupted, id)?.end).toEqual({ type: "interrupted" });
  });

  it("reads a failure without any message as a failure, and a missing status as success", () => {
    expect(parseHistory(history({ status_str: "error", messages: null }), id)?.end.type).toBe("failed");
    expect(parseHistory(history(null), id)?.end).toEqual({ type: "success" });
  });

  it.each([{}, null, [], { other: {} }, { [id]: null }])("finds no record in %j", (body) => {
    expect(parseHistory(body, id)).toBeUndefined();
  });
});
