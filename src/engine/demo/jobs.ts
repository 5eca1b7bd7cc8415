import type { HistoryEntry } from "./history.ts";
import { isJsonObject, type Json, type JsonObject } from "./json.ts";
import type { QueuedPrompt } from "./queue.ts";

/** All states of a job. */
export const jobStatuses: readonly string[] = ["pending", "in_progress", "completed", "failed", "cancelled"];

/** A waiting or running prompt as `/api/jobs` shows it. */
export function queuedJobOf(prompt: QueuedPrompt, status: "pending" | "in_progress"): JsonObject {
  return withoutNulls({
    id: prompt.promptId,
    status,
    priority: prompt.number,
    create_time: prompt.extraData.create_time,
    outputs_count: 0,
    previewable_outputs_count: 0,
    workflow_id: workflowIdOf(prompt.extraData),
  });
}

/** An ended prompt as the list of `/api/jobs` shows it. */
export function endedJobOf(entry: HistoryEntry): JsonObject {
  const { prompt, status, outputs } = entry;
  const data = new Map(status.messages);
  const error = data.get("execution_error");
  const interrupted = data.get("execution_interrupted");
  const end = data.get("execution_success") ?? error ?? interrupted;
  const files = filesOf(outputs);
  return withoutNulls({
    id: prompt.promptId,
    status: status.status_str === "success" ? "completed" : interrupted ? "cancelled" : "failed",
    priority: prompt.number,
    create_time: prompt.extraData.create_time,
    execution_start_time: data.get("execution_start")?.timestamp,
    execution_end_time: end?.timestamp,
    execution_error: error,
    outputs_count: files.length,
    previewable_outputs_count: files.length,
    preview_output: files.find((file) => file.type === "output") ?? files[0],
    workflow_id: workflowIdOf(prompt.extraData),
  });
}

/** An ended prompt with all that is known of it, as `/api/jobs/{id}` shows it. */
export function endedJobDetailsOf(entry: HistoryEntry): JsonObject {
  return {
    ...endedJobOf(entry),
    outputs: entry.outputs,
    execution_status: {
      status_str: entry.status.status_str,
      completed: entry.status.completed,
      messages: entry.status.messages,
    },
    workflow: { prompt: entry.prompt.graph, extra_data: entry.prompt.extraData },
  };
}

function filesOf(outputs: JsonObject): JsonObject[] {
  return Object.entries(outputs).flatMap(([nodeId, output]) =>
    Object.entries(isJsonObject(output) ? output : {}).flatMap(([mediaType, items]) =>
      (Array.isArray(items) ? items : [])
        .filter(isJsonObject)
        .map((item: JsonObject) => ({ ...item, nodeId, mediaType })),
    ),
  );
}

function workflowIdOf(extraData: JsonObject): Json | undefined {
  const info = extraData.extra_pnginfo;
  const workflow = isJsonObject(info) ? info.workflow : undefined;
  return isJsonObject(workflow) ? workflow.id : undefined;
}

function withoutNulls(job: Readonly<Record<string, Json | undefined>>): JsonObject {
  const result: Record<string, Json> = {};
  for (const [key, value] of Object.entries(job)) {
    if (value !== undefined && value !== null) {
      result[key] = value;
    }
  }
  return result;
}
