import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { RunEvent } from "../engine.ts";
import { type PromptMessage, parseBinaryFrame, parseTextFrame } from "./messages.ts";
import { PromptState } from "./prompt-state.ts";

const promptId = "85fcbf19-df22-4369-b2ed-f62ef5031d0d";
const output = {
  kind: "file",
  nodeId: "9",
  key: "images",
  file: { filename: "txt2img_00001_.png", subfolder: "rec", type: "output" },
} as const;

function record(feed: (state: PromptState) => void): { state: PromptState; events: RunEvent[] } {
  const events: RunEvent[] = [];
  const state = new PromptState((event) => events.push(event));
  feed(state);
  return { state, events };
}

function replay(state: PromptState, times = 1): void {
  const lines = readFileSync(new URL("testdata/txt2img.jsonl", import.meta.url), "utf8")
    .trim()
    .split("\n");
  for (const line of lines) {
    const { text, binary } = JSON.parse(line);
    const message = text === undefined ? undefined : parseTextFrame(text);
    const preview = binary === undefined ? undefined : parseBinaryFrame(Buffer.from(binary, "base64"));
    for (let time = 0; time < times; time++) {
      if (message !== undefined && message.type !== "status") {
        state.onMessage(message);
      }
      if (preview?.origin !== undefined) {
        state.onPreview(preview.origin.nodeId, preview);
      }
    }
  }
}

function feed(state: PromptState, messages: readonly PromptMessage[]): void {
  for (const message of messages) {
    state.onMessage(message);
  }
}

function told(events: readonly RunEvent[]): readonly string[] {
  return events.map((event) => {
    switch (event.type) {
      case "started":
        return `started, cached ${event.cachedNodeIds.join(" ")}`;
      case "nodeStarted":
      case "nodeFinished":
        return `${event.type} ${event.nodeId}`;
      case "progress":
        return `step ${event.value}/${event.max} of ${event.nodeId}`;
      case "preview":
        return `preview of ${event.nodeId}`;
      default:
        return event.type;
    }
  });
}

const wholeStory = [
  "submitted",
  "started, cached 4 7",
  "nodeStarted 5",
  "nodeFinished 5",
  "nodeStarted 6",
  "nodeFinished 6",
  "nodeStarted 3",
  ...[1, 2, 3, 4].flatMap((step) => [`step ${step}/4 of 3`, "preview of 3"]),
  "nodeFinished 3",
  "nodeStarted 8",
  "nodeFinished 8",
  "nodeStarted 9",
  "output",
  "nodeFinished 9",
];

describe("PromptState", () => {
  it("tells the recorded story once, each preview after the step that it shows", () => {
    const { state, events } = record((state) => replay(state));
    expect(told(events)).toEqual(wholeStory);
    expect(state.end).toEqual({ type: "success" });
    expect(state.closed).toBe(true);
    expect(state.seenOutputs).toEqual([output]);
  });

  it("tells the same story if every frame comes twice", () => {
    const { state, events } = record((state) => replay(state, 2));
    expect(told(events.filter(({ type }) => type !== "preview"))).toEqual(
      wholeStory.filter((line) => !line.startsWith("preview")),
    );
    expect(state.seenOutputs).toEqual([output]);
  });

  it("does not tell again what a look-up found first", () => {
    const { events } = record((state) => {
      state.markQueued();
      state.markStarted();
      replay(state);
    });
    expect(told(events)).toEqual(["submitted", "started, cached ", ...wholeStory.slice(2)]);
  });

  it("tells each phase before the first thing that implies it, also if the earlier frames are missing", () => {
    const { state, events } = record((state) =>
      state.onMessage({ type: "progress", promptId, steps: { nodeId: "3", value: 1, max: 4 } }),
    );
    expect(told(events)).toEqual(["submitted", "started, cached ", "step 1/4 of 3"]);
    expect(state.phase).toBe("running");
  });

  it("closes a node when the next one begins, on servers that do not tell when nodes end", () => {
    const messages: PromptMessage[] = [
      { type: "execution_start", promptId },
      { type: "execution_cached", promptId, nodeIds: [] },
      { type: "executing", promptId, nodeId: "4", innerNodeId: "4" },
      { type: "executing", promptId, nodeId: "3", innerNodeId: "3" },
      { type: "execution_success", promptId },
    ];
    const { events } = record((state) => feed(state, messages));
    expect(told(events).slice(2)).toEqual([
      "nodeStarted 4",
      "nodeFinished 4",
      "nodeStarted 3",
      "nodeFinished 3",
    ]);
  });

  it("counts nodes of an expanded subgraph as the node that they run for", () => {
    const messages: PromptMessage[] = [
      { type: "progress_state", promptId, finishedNodeIds: [], steps: [] },
      { type: "executing", promptId, nodeId: "5", innerNodeId: "5" },
      { type: "executing", promptId, nodeId: "5", innerNodeId: "5.0.0.1" },
      { type: "progress", promptId, steps: { nodeId: "5.0.0.1", value: 1, max: 2 } },
      { type: "progress_state", promptId, finishedNodeIds: ["5.0.0.1"], steps: [] },
      { type: "progress_state", promptId, finishedNodeIds: ["5.0.0.1", "5"], steps: [] },
    ];
    const { events } = record((state) => feed(state, messages));
    expect(told(events).slice(2)).toEqual(["nodeStarted 5", "step 1/2 of 5", "nodeFinished 5"]);
  });

  it("does not take a blocked branch for a failure", () => {
    const failure = { nodeId: "8", classType: "Gate", exceptionType: "ExecutionBlocked", message: "blocked" };
    const { state } = record((state) => {
      state.onMessage({ type: "execution_error", promptId, failure });
      expect(state.end).toBeUndefined();
      state.onMessage({ type: "execution_success", promptId });
    });
    expect(state.end).toEqual({ type: "success" });
  });

  it("keeps the first end, and tells nothing after it", () => {
    const { state, events } = record((state) => {
      state.onMessage({ type: "execution_interrupted", promptId });
      state.onMessage({ type: "execution_success", promptId });
      state.onMessage({ type: "executing", promptId, nodeId: "1", innerNodeId: "1" });
      state.onMessage({ type: "closed", promptId });
    });
    expect(state.end).toEqual({ type: "interrupted" });
    expect(state.closed).toBe(true);
    expect(told(events)).toEqual(["submitted"]);
  });

  it("knows a node between two steps from one that loads", () => {
    const { state } = record(() => {});
    const at = (value: number) => {
      state.onMessage({ type: "progress", promptId, steps: { nodeId: "3", value, max: 4 } });
      return state.activity;
    };
    expect([state.activity, at(1), at(3), at(4)]).toEqual(["loading", "stepping", "stepping", "loading"]);
    at(1);
    state.onMessage({ type: "executing", promptId, nodeId: "8", innerNodeId: "8" });
    expect(state.activity).toBe("loading");
  });
});
