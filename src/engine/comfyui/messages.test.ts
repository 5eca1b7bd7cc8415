import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseBinaryFrame, parseTextFrame } from "./messages.ts";

const promptId = "85fcbf19-df22-4369-b2ed-f62ef5031d0d";

/** Frames that a ComfyUI 0.3.64 sent while it made one picture; pictures are cut to their first bytes. */
const recorded = readFileSync(new URL("testdata/txt2img.jsonl", import.meta.url), "utf8")
  .trim()
  .split("\n")
  .map((line): { text?: string; binary?: string } => JSON.parse(line));

function text(type: string, data: unknown): string {
  return JSON.stringify({ type, data });
}

function frame(type: number, ...rest: readonly (number | Buffer)[]): Buffer {
  const parts = [type, ...rest].map((part) => {
    if (typeof part !== "number") {
      return part;
    }
    const word = Buffer.alloc(4);
    word.writeUInt32BE(part);
    return word;
  });
  return Buffer.concat(parts);
}

function withMetadata(metadata: string, image: Buffer): Buffer {
  const json = Buffer.from(metadata);
  return frame(4, json.length, json, image);
}

describe("parseTextFrame", () => {
  it("reads the recorded life of a prompt, in its order", () => {
    const texts = recorded.flatMap(({ text }) => text ?? []);
    const story = texts
      .map(parseTextFrame)
      .filter((message) => message !== undefined && message.type !== "progress_state")
      .map((message) =>
        "promptId" in message ? `${message.promptId === promptId} ${message.type}` : message,
      );
    expect(story).toEqual([
      { type: "status", queueRemaining: 0 },
      { type: "status", queueRemaining: 1 },
      { type: "status", queueRemaining: 1 },
      "true execution_start",
      "true execution_cached",
      "true executing",
      "true executing",
      "true executing",
      "true progress",
      "true progress",
      "true progress",
      "true progress",
      "true executing",
      "true executing",
      "true executed",
      "true execution_success",
      { type: "status", queueRemaining: 0 },
      "true closed",
    ]);
  });

  it("reads which nodes have finished and how far the others are", () => {
    const states = recorded.flatMap(({ text }) => {
      const message = text === undefined ? undefined : parseTextFrame(text);
      return message?.type === "progress_state" ? [message] : [];
    });
    expect(states.flatMap(({ steps }) => steps)).toEqual(
      [1, 2, 3, 4].map((value) => ({ nodeId: "3", value, max: 4 })),
    );
    expect(states.at(-1)?.finishedNodeIds.toSorted()).toEqual(["3", "5", "6", "8", "9"]);
  });

  it("names the node of the submitted graph beside one that runs on its behalf", () => {
    const data = { node: "5.0.0.1", display_node: "5", prompt_id: promptId };
    expect(parseTextFrame(text("executing", data))).toEqual({
      type: "executing",
      promptId,
      nodeId: "5",
      innerNodeId: "5.0.0.1",
    });
  });

  it("takes `executing` without a node for the end of the prompt", () => {
    expect(parseTextFrame(text("executing", { node: null, prompt_id: promptId }))).toEqual({
      type: "closed",
      promptId,
    });
  });

  it("reads outputs under every key, and tolerates a node without any", () => {
    const output = {
      images: [{ filename: "a.png", subfolder: "s", type: "temp" }, null, 3],
      gifs: [{ filename: "b.mp4", type: "output", format: "video/h264" }],
      text: ["hello"],
      caption: "bare",
      animated: [true],
      broken: [{ filename: "c.png" }, { type: "output" }, { filename: "d.png", type: "elsewhere" }],
    };
    expect(
      parseTextFrame(text("executed", { node: "9", display_node: "9", output, prompt_id: promptId })),
    ).toEqual({
      type: "executed",
      promptId,
      outputs: [
        {
          kind: "file",
          nodeId: "9",
          key: "images",
          file: { filename: "a.png", subfolder: "s", type: "temp" },
        },
        {
          kind: "file",
          nodeId: "9",
          key: "gifs",
          file: { filename: "b.mp4", subfolder: "", type: "output" },
        },
        { kind: "text", nodeId: "9", key: "text", text: "hello" },
        { kind: "text", nodeId: "9", key: "caption", text: "bare" },
      ],
    });
    expect(parseTextFrame(text("executed", { node: "9", output: null, prompt_id: promptId }))).toMatchObject({
      outputs: [],
    });
  });

  it("takes the first line of an error and leaves tracebacks, inputs and paths behind", () => {
    const message = parseTextFrame(
      text("execution_error", {
        prompt_id: promptId,
        node_id: "9",
        node_type: "SaveImage",
        exception_message: "cannot write /srv/comfy/output/a.png\ntip: buy a disk",
        exception_type: "OSError",
        traceback: ['File "/srv/comfy/execution.py"'],
        current_inputs: { images: ["secret"] },
      }),
    );
    expect(message).toEqual({
      type: "execution_error",
      promptId,
      failure: {
        nodeId: "9",
        classType: "SaveImage",
        exceptionType: "OSError",
        message: "cannot write [path]",
      },
    });
  });

  it("keeps steps within their bounds", () => {
    const data = { node: "3", prompt_id: promptId, max: 4 };
    expect(parseTextFrame(text("progress", { ...data, value: 9 }))).toMatchObject({ steps: { value: 4 } });
    expect(parseTextFrame(text("progress", { ...data, value: -1 }))).toMatchObject({ steps: { value: 0 } });
  });

  it("reads frames that hold bare NaN", () => {
    const ui = `{"type": "executed", "data": {"node": "1", "prompt_id": "${promptId}", "output": {"text": ["x"], "n": [NaN]}}}`;
    expect(parseTextFrame(ui)).toMatchObject({ outputs: [{ kind: "text", text: "x" }] });
  });

  it.each([
    "",
    "no JSON",
    "null",
    "[]",
    '{"type": "progress"}',
    text("executing", { node: "3" }), // as sent on connecting while a prompt runs
    text("progress", { node: "3", prompt_id: promptId, value: 1, max: 0 }),
    text("progress", { node: "3", prompt_id: promptId, value: "1", max: 4 }),
    text("status", { status: null }),
    text("logs", { entries: [] }),
    text("feature_flags", { supports_preview_metadata: true }),
    text("a_custom_node", { prompt_id: promptId }),
  ])("ignores %s", (frameText) => {
    expect(parseTextFrame(frameText)).toBeUndefined();
  });
});

describe("parseBinaryFrame", () => {
  it("reads a recorded preview: whose it is, and the picture without a copy", () => {
    const data = Buffer.from(recorded.find(({ binary }) => binary !== undefined)?.binary ?? "", "base64");
    const preview = parseBinaryFrame(data);
    expect(preview).toMatchObject({ origin: { promptId, nodeId: "3" }, mediaType: "image/jpeg" });
    expect([...(preview?.data.subarray(0, 3) ?? [])]).toEqual([0xff, 0xd8, 0xff]);
    expect(preview?.data.buffer).toBe(data.buffer);
  });

  it("names the node of the submitted graph", () => {
    const metadata = JSON.stringify({
      node_id: "5.0.0.1",
      display_node_id: "5",
      prompt_id: promptId,
      image_type: "image/png",
    });
    expect(parseBinaryFrame(withMetadata(metadata, Buffer.of(1)))).toEqual({
      type: "preview",
      origin: { promptId, nodeId: "5" },
      mediaType: "image/png",
      data: Buffer.of(1),
    });
  });

  it("reads previews without a name, as older servers send them", () => {
    expect(parseBinaryFrame(frame(1, 2, Buffer.of(7, 8)))).toEqual({
      type: "preview",
      origin: undefined,
      mediaType: "image/png",
      data: Buffer.of(7, 8),
    });
  });

  it.each([
    ["an empty frame", Buffer.alloc(0)],
    ["a frame that ends early", Buffer.of(0, 0, 0, 1, 0)],
    ["text for a node", frame(3, 1, Buffer.from("9done"))],
    ["an unknown type", frame(99, 1, Buffer.of(1))],
    ["metadata longer than the frame", frame(4, 1000, Buffer.from("{}"))],
    ["metadata that is no JSON", withMetadata("{", Buffer.of(1))],
    ["metadata without a prompt", withMetadata('{"node_id":"3"}', Buffer.of(1))],
  ])("ignores %s", (_what, data) => {
    expect(parseBinaryFrame(data)).toBeUndefined();
  });
});
