import type { InterruptFlag } from "../execute.ts";
import type { History } from "../history.ts";
import { endedJobDetailsOf, endedJobOf, jobStatuses, queuedJobOf } from "../jobs.ts";
import { isJsonObject, type Json, type JsonObject } from "../json.ts";
import { pythonRepr } from "../python.ts";
import type { PromptQueue } from "../queue.ts";
import { isCanonicalUuid } from "../uuid.ts";
import { type Exchange, type Route, readJson, replyJson } from "./exchange.ts";

/** What the routes act upon. */
export interface JobsRoutesOptions {
  readonly queue: PromptQueue;
  readonly history: History;
  readonly interrupt: InterruptFlag;
}

/** One view of prompts in any state, and cancellation that cannot hit a stranger. */
export function jobsRoutes(options: JobsRoutesOptions): readonly Route[] {
  return [
    { method: "GET", path: "/api/jobs", handle: (exchange) => list(exchange, options) },
    {
      method: "GET",
      path: "/api/jobs/{id}",
      handle: (exchange) => {
        const job = find(exchange.params.id ?? "", options);
        replyJson(exchange, job ?? { error: "Job not found" }, job ? 200 : 404);
      },
    },
    {
      method: "POST",
      path: "/api/jobs/{id}/cancel",
      handle: (exchange) => replyJson(exchange, { cancelled: cancel(exchange.params.id ?? "", options) }),
    },
    { method: "POST", path: "/api/jobs/cancel", handle: (exchange) => cancelMany(exchange, options) },
  ];
}

function find(id: string, { queue, history }: JobsRoutesOptions): JsonObject | undefined {
  const ended = history.get(id);
  if (ended) {
    return endedJobDetailsOf(ended);
  }
  const running = queue.running.find((prompt) => prompt.promptId === id);
  const pending = queue.pending.find((prompt) => prompt.promptId === id);
  const prompt = running ?? pending;
  return prompt && queuedJobOf(prompt, running ? "in_progress" : "pending");
}

/** Whether something was done about it; false for prompts that have ended or are not known. */
function cancel(id: string, { queue, interrupt }: JobsRoutesOptions): boolean {
  if (queue.isRunning(id)) {
    interrupt.raised = true;
    return true;
  }
  return queue.delete(id);
}

async function cancelMany(exchange: Exchange, options: JobsRoutesOptions): Promise<void> {
  let body: Json;
  try {
    body = await readJson(exchange.request);
  } catch (error) {
    if (!(error instanceof SyntaxError)) {
      throw error;
    }
    replyJson(exchange, { error: "Request body must be valid JSON" }, 400);
    return;
  }
  const ids = isJsonObject(body) ? body.job_ids : undefined;
  if (!Array.isArray(ids)) {
    replyJson(exchange, { error: "job_ids must be a list" }, 400);
    return;
  }
  const invalid = ids.filter((id: Json) => !isCanonicalUuid(id));
  if (invalid.length > 0) {
    const shown = invalid.map((id: Json) => (typeof id === "string" ? id : pythonRepr(id)));
    replyJson(exchange, { error: "job_ids contains invalid id(s)", invalid_ids: shown }, 400);
    return;
  }
  const cancelled = ids.filter((id: Json) => typeof id === "string" && cancel(id, options));
  replyJson(exchange, { cancelled: cancelled.length > 0 });
}

function list(exchange: Exchange, { queue, history }: JobsRoutesOptions): void {
  const asked = parseListQuery(exchange.query);
  if ("error" in asked) {
    replyJson(exchange, asked, 400);
    return;
  }
  const all = [
    ...queue.running.map((prompt) => queuedJobOf(prompt, "in_progress")),
    ...queue.pending.map((prompt) => queuedJobOf(prompt, "pending")),
    ...history.entries().map(endedJobOf),
  ];
  const { statuses, workflowId, sortKey, descending, limit, offset } = asked;
  const matching = all
    .filter((job) => statuses.length === 0 || statuses.includes(String(job.status)))
    .filter((job) => workflowId === null || job.workflow_id === workflowId)
    .sort((a, b) => (sortKey(a) - sortKey(b)) * (descending ? -1 : 1));
  const jobs = matching.slice(offset, limit === null ? undefined : offset + limit);
  const total = matching.length;
  replyJson(exchange, { jobs, pagination: { offset, limit, total, has_more: offset + jobs.length < total } });
}

interface ListQuery {
  readonly statuses: readonly string[];
  readonly workflowId: string | null;
  readonly sortKey: (job: JsonObject) => number;
  readonly descending: boolean;
  readonly limit: number | null;
  readonly offset: number;
}

function parseListQuery(query: URLSearchParams): ListQuery | { readonly error: string } {
  const statuses = (query.get("status") ?? "")
    .split(",")
    .map((status) => status.trim().toLowerCase())
    .filter(Boolean);
  const unknown = statuses.filter((status) => !jobStatuses.includes(status));
  if (unknown.length > 0) {
    return {
      error: `Invalid status value(s): ${unknown.join(", ")}. Valid values: ${jobStatuses.join(", ")}`,
    };
  }
  const sortBy = (query.get("sort_by") ?? "created_at").toLowerCase();
  if (sortBy !== "created_at" && sortBy !== "execution_duration") {
    return { error: "sort_by must be 'created_at' or 'execution_duration'" };
  }
  const order = (query.get("sort_order") ?? "desc").toLowerCase();
  if (order !== "asc" && order !== "desc") {
    return { error: "sort_order must be 'asc' or 'desc'" };
  }
  const limit = integerIn(query, "limit");
  const offset = integerIn(query, "offset");
  if (limit === undefined || offset === undefined) {
    return { error: `${limit === undefined ? "limit" : "offset"} must be an integer` };
  }
  if (limit !== null && limit <= 0) {
    return { error: "limit must be a positive integer" };
  }
  return {
    statuses,
    workflowId: query.get("workflow_id"),
    sortKey: sortBy === "created_at" ? (job) => Number(job.create_time ?? 0) : durationOf,
    descending: order === "desc",
    limit,
    offset: Math.max(0, offset ?? 0),
  };
}

function durationOf(job: JsonObject): number {
  const start = Number(job.execution_start_time ?? 0);
  const end = Number(job.execution_end_time ?? 0);
  return start && end ? end - start : 0;
}

/** `null` if it is not given, `undefined` if it is no integer. */
function integerIn(query: URLSearchParams, name: string): number | null | undefined {
  const text = query.get(name);
  return text === null ? null : /^\s*[+-]?\d+\s*$/.test(text) ? Number(text) : undefined;
}
