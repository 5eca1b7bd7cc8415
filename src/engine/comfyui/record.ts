import type { Output } from "../engine.ts";
import { type ExecutionFailure, isBlockedBranch, parseExecutionFailure } from "./failures.ts";
import { asArray, asObject, asStrings, isObject } from "./json-shape.ts";
import { parseOutputs } from "./outputs.ts";

/** What ComfyUI's history says of a prompt that has ended. */
export interface PromptRecord {
  readonly end: PromptEnd;
  /** Nodes that it took from its cache. */
  readonly cachedNodeIds: readonly string[];
  /** What it left; also what came before a failure. */
  readonly outputs: readonly Output[];
}

/** How a prompt ended on the backend. */
export type PromptEnd =
  | { readonly type: "success" }
  | { readonly type: "interrupted" }
  | { readonly type: "failed"; readonly failure: ExecutionFailure };

/** Reads the answer to `GET /history/{promptId}`: `undefined` if it holds no such record. */
export function parseHistory(body: unknown, promptId: string): PromptRecord | undefined {
  const entry = asObject(body)[promptId];
  if (!isObject(entry)) {
    return undefined;
  }
  const { status_str: status, messages } = asObject(entry.status);
  const events = asArray(messages).map((message) => asArray(message));
  return {
    end: status === "error" ? failedEnd(events) : { type: "success" },
    cachedNodeIds: asStrings(asObject(events.find(([name]) => name === "execution_cached")?.[1]).nodes),
    outputs: parseOutputs(entry.outputs, entry.meta),
  };
}

/** Failed and interrupted prompts have the same status; only the last message tells them apart. */
function failedEnd(events: readonly (readonly unknown[])[]): PromptEnd {
  for (const [name, data] of events.toReversed()) {
    if (name === "execution_interrupted") {
      return { type: "interrupted" };
    }
    const failure = parseExecutionFailure(asObject(data));
    if (name === "execution_error" && !isBlockedBranch(failure)) {
      return { type: "failed", failure };
    }
  }
  return { type: "failed", failure: parseExecutionFailure({}) };
}
