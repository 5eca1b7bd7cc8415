import type { Output } from "../engine.ts";
import { type ExecutionFailure, parseExecutionFailure } from "./failures.ts";
import { asFiniteNumber, asObject, asString, asStrings, isObject, type JsonObject } from "./json-shape.ts";
import { parseNodeOutput } from "./outputs.ts";
import { parseWireJson } from "./wire-json.ts";

/**
 * What ComfyUI tells on its WebSocket about one prompt, in its own words. Node ids are those of the submitted graph:
 * nodes that run on behalf of another, as in an expanded subgraph, count as that other one.
 */
export type PromptMessage =
  | { readonly type: "execution_start"; readonly promptId: string }
  | { readonly type: "execution_cached"; readonly promptId: string; readonly nodeIds: readonly string[] }
  /** A node has begun; `innerNodeId` differs from `nodeId` in an expanded subgraph. */
  | {
      readonly type: "executing";
      readonly promptId: string;
      readonly nodeId: string;
      readonly innerNodeId: string;
    }
  /** `executing` without a node: the prompt is over and its record has been written. */
  | { readonly type: "closed"; readonly promptId: string }
  /** Follows, for every step, a `progress_state` that says the same; older servers send only this one. */
  | { readonly type: "progress"; readonly promptId: string; readonly steps: NodeSteps }
  | {
      readonly type: "progress_state";
      readonly promptId: string;
      readonly finishedNodeIds: readonly string[];
      /** Nodes that have done some of their steps. */
      readonly steps: readonly NodeSteps[];
    }
  | { readonly type: "executed"; readonly promptId: string; readonly outputs: readonly Output[] }
  | { readonly type: "execution_success"; readonly promptId: string }
  | { readonly type: "execution_error"; readonly promptId: string; readonly failure: ExecutionFailure }
  | { readonly type: "execution_interrupted"; readonly promptId: string };

export interface NodeSteps {
  /** As `innerNodeId` of `executing`. */
  readonly nodeId: string;
  /** Within 0 and `max`: nodes may report more than their own maximum. */
  readonly value: number;
  readonly max: number;
}

/** Sent to every socket whenever the queue changes, and first of all on a new one. */
export interface StatusMessage {
  readonly type: "status";
  /** Prompts pending and running. */
  readonly queueRemaining: number;
}

/** A picture sent while a prompt runs. */
export interface PreviewMessage {
  readonly type: "preview";
  /** `undefined` in frames of type 1, which belong to whatever runs. */
  readonly origin: { readonly promptId: string; readonly nodeId: string } | undefined;
  readonly mediaType: "image/jpeg" | "image/png";
  /** A view into the frame, not a copy. */
  readonly data: Uint8Array;
}

/**
 * Reads a text frame. `undefined` if it is of a type that means nothing to us, or makes no sense: custom nodes send
 * what they like.
 */
export function parseTextFrame(text: string): PromptMessage | StatusMessage | undefined {
  const message = parseIfJson(text);
  if (!isObject(message) || !isObject(message.data) || typeof message.type !== "string") {
    return undefined;
  }
  const { type, data } = message;
  return type === "status" ? parseStatus(data) : parsePromptMessage(type, data);
}

/**
 * Reads a binary frame: a big-endian type, then what that type holds (comfyui-protocol § 2.6). `undefined` for types
 * that are no pictures, and for frames that are too short.
 */
export function parseBinaryFrame(frame: Buffer): PreviewMessage | undefined {
  if (frame.length < 8) {
    return undefined;
  }
  switch (frame.readUInt32BE(0)) {
    case 1:
      return {
        type: "preview",
        origin: undefined,
        mediaType: frame.readUInt32BE(4) === 2 ? "image/png" : "image/jpeg",
        data: frame.subarray(8),
      };
    case 4:
      return parsePreviewWithMetadata(frame);
    default:
      return undefined;
  }
}

/** `queue_remaining` of a `status` frame's `status` or of the answer to `GET /prompt`. */
export function parseQueueRemaining(body: unknown): number | undefined {
  return asFiniteNumber(asObject(asObject(body).exec_info).queue_remaining);
}

function parseIfJson(text: string): unknown {
  try {
    return parseWireJson(text);
  } catch {
    return undefined; // no JSON, so nothing that we could miss
  }
}

function parseStatus(data: JsonObject): StatusMessage | undefined {
  const queueRemaining = parseQueueRemaining(data.status);
  return queueRemaining === undefined ? undefined : { type: "status", queueRemaining };
}

function parsePromptMessage(type: string, data: JsonObject): PromptMessage | undefined {
  const promptId = asString(data.prompt_id);
  if (promptId === undefined) {
    return undefined; // such as the `executing` that follows a connection made while a prompt runs
  }
  switch (type) {
    case "execution_start":
    case "execution_success":
    case "execution_interrupted":
      return { type, promptId };
    case "execution_cached":
      return { type, promptId, nodeIds: asStrings(data.nodes) };
    case "executing":
      return parseExecuting(promptId, data);
    case "progress":
      return parseProgress(promptId, data);
    case "progress_state":
      return parseProgressState(promptId, data.nodes);
    case "executed":
      return { type, promptId, outputs: parseNodeOutput(displayNode(data) ?? "", data.output) };
    case "execution_error":
      return { type, promptId, failure: parseExecutionFailure(data) };
    default:
      return undefined;
  }
}

function parseExecuting(promptId: string, data: JsonObject): PromptMessage | undefined {
  if (data.node === null) {
    return { type: "closed", promptId };
  }
  const innerNodeId = asString(data.node);
  return innerNodeId === undefined
    ? undefined
    : { type: "executing", promptId, nodeId: displayNode(data) ?? innerNodeId, innerNodeId };
}

function parseProgress(promptId: string, data: JsonObject): PromptMessage | undefined {
  const steps = parseSteps(data.node, data);
  return steps === undefined ? undefined : { type: "progress", promptId, steps };
}

/** The frame lists every node that is not waiting, so it grows as the prompt goes on: only what is used is read. */
function parseProgressState(promptId: string, nodes: unknown): PromptMessage {
  const finishedNodeIds: string[] = [];
  const steps: NodeSteps[] = [];
  for (const [nodeId, node] of Object.entries(asObject(nodes))) {
    const facts = asObject(node);
    if (facts.state === "finished") {
      finishedNodeIds.push(nodeId);
    } else if (facts.state === "running" && facts.value !== 0) {
      const made = parseSteps(nodeId, facts);
      steps.push(...(made === undefined ? [] : [made]));
    }
  }
  return { type: "progress_state", promptId, finishedNodeIds, steps };
}

function parseSteps(node: unknown, facts: JsonObject): NodeSteps | undefined {
  const nodeId = asString(node);
  const value = asFiniteNumber(facts.value);
  const max = asFiniteNumber(facts.max);
  if (nodeId === undefined || value === undefined || max === undefined || max <= 0) {
    return undefined;
  }
  return { nodeId, value: Math.min(Math.max(value, 0), max), max };
}

function displayNode(data: JsonObject): string | undefined {
  return asString(data.display_node) ?? asString(data.node);
}

function parsePreviewWithMetadata(frame: Buffer): PreviewMessage | undefined {
  const end = 8 + frame.readUInt32BE(4);
  if (end > frame.length) {
    return undefined;
  }
  const metadata = asObject(parseIfJson(frame.toString("utf8", 8, end)));
  const promptId = asString(metadata.prompt_id);
  const nodeId = asString(metadata.display_node_id) ?? asString(metadata.node_id);
  if (promptId === undefined || nodeId === undefined) {
    return undefined;
  }
  return {
    type: "preview",
    origin: { promptId, nodeId },
    mediaType: metadata.image_type === "image/png" ? "image/png" : "image/jpeg",
    data: frame.subarray(end),
  };
}
