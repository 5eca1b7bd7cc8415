import { randomUUID } from "node:crypto";
import type { FaultPlan } from "../faults.ts";
import { inputsOf, linkOf } from "../graph.ts";
import { isJsonObject, type Json, type JsonObject } from "../json.ts";
import type { NodeDefinition, Surroundings } from "../nodes/node.ts";
import { pythonToFloat, pythonTruth } from "../python.ts";
import type { PromptQueue, QueuedPrompt } from "../queue.ts";
import { isCanonicalUuid } from "../uuid.ts";
import { plainError, type Validation, type ValidationError, validatePrompt } from "../validate.ts";
import { type Exchange, type Route, readJson, replyJson, replyText } from "./exchange.ts";

/** What submissions are checked against, and where they go. */
export interface PromptRoutesOptions {
  readonly queue: PromptQueue;
  readonly classes: ReadonlyMap<string, NodeDefinition>;
  readonly surroundings: Surroundings;
  readonly faults: FaultPlan;
  /** Called when a prompt has been queued. */
  readonly onQueued: () => void;
}

/** Submission of prompts. */
export function promptRoutes(options: PromptRoutesOptions): readonly Route[] {
  return [
    { method: "POST", path: "/prompt", handle: (exchange) => submit(exchange, options) },
    {
      method: "GET",
      path: "/prompt",
      handle: (exchange) => replyJson(exchange, { exec_info: { queue_remaining: options.queue.remaining } }),
    },
  ];
}

async function submit(exchange: Exchange, options: PromptRoutesOptions): Promise<void> {
  const { queue, faults } = options;
  const body = await readJson(exchange.request);
  if (!isJsonObject(body)) {
    throw new TypeError("the body is no object");
  }
  const wantedId = body.prompt_id;
  const faultId = typeof wantedId === "string" ? wantedId : undefined;
  if (faults.take("refuse_prompt", faultId)) {
    throw new Error("a fault was ordered");
  }
  const number = numberOf(body, queue);
  const promptId = wantedId === undefined || wantedId === null ? randomUUID() : wantedId;
  const prompt = body.prompt;
  if (prompt === undefined) {
    const error = plainError("no_prompt", "No prompt provided", "No prompt provided");
    replyJson(exchange, { error, node_errors: {} }, 400);
  } else if (!isCanonicalUuid(promptId)) {
    replyJson(exchange, { error: INVALID_PROMPT_ID, node_errors: {} }, 400);
  } else {
    const { classes, surroundings } = options;
    const checked = validatePrompt(prompt, targetsOf(body), classes, surroundings);
    if (checked.ok) {
      accept(exchange, body, { number, promptId }, checked, options);
    } else {
      replyJson(exchange, { error: checked.error, node_errors: checked.nodeErrors }, 400);
    }
  }
}

function accept(
  exchange: Exchange,
  body: JsonObject,
  { number, promptId }: Pick<QueuedPrompt, "number" | "promptId">,
  checked: Extract<Validation, { ok: true }>,
  { queue, faults, onQueued, classes }: PromptRoutesOptions,
): void {
  const { graph, outputs, targets, nodeErrors } = withOrderedErrors(checked, promptId, faults, classes);
  queue.put({ number, promptId, graph, extraData: extraDataOf(body, exchange), outputs, targets });
  onQueued();
  if (faults.take("reset_accepted_prompt", promptId)) {
    exchange.request.socket.resetAndDestroy();
  } else if (faults.take("fail_accepted_prompt", promptId)) {
    replyText(exchange, 500, "500 Internal Server Error\n\nServer got itself in trouble");
  } else {
    replyJson(exchange, { prompt_id: promptId, number, node_errors: nodeErrors });
  }
}

/** Priority of a submission. Only one without a priority of its own uses up a number. */
function numberOf(body: JsonObject, queue: PromptQueue): number {
  const wanted = body.number;
  if (wanted !== undefined) {
    return pythonToFloat(wanted);
  }
  const next = queue.takeNumber();
  return pythonTruth(body.front ?? false) ? -next : next;
}

const INVALID_PROMPT_ID: ValidationError = plainError(
  "invalid_prompt_id",
  "prompt_id must be a valid UUID",
  "prompt_id must be a UUID string in canonical lowercase hyphenated form; omit it to let the server generate one",
);

function targetsOf(body: JsonObject): readonly string[] | undefined {
  const targets = body.partial_execution_targets;
  return Array.isArray(targets) ? targets.filter((id: Json) => typeof id === "string") : undefined;
}

/** Keys of `extra_data` that are secrets: they are shown to nobody, and nothing here needs them. */
const SECRETS: readonly string[] = ["auth_token_comfy_org", "api_key_comfy_org"];

function extraDataOf(body: JsonObject, { request }: Exchange): JsonObject {
  const given = body.extra_data ?? {};
  if (!isJsonObject(given)) {
    throw new TypeError("extra_data is no object");
  }
  const extra: Record<string, Json> = Object.fromEntries(
    Object.entries(given).filter(([key]) => !SECRETS.includes(key)),
  );
  if (body.client_id !== undefined) {
    extra.client_id = body.client_id;
  }
  const source = request.headers["comfy-usage-source"];
  if (typeof source === "string") {
    extra.comfy_usage_source ??= source;
  }
  extra.create_time = Date.now();
  return extra;
}

/** Takes an output node out of a good graph, if such a fault has been ordered. */
function withOrderedErrors(
  { graph, outputs, nodeErrors }: Extract<Validation, { ok: true }>,
  promptId: string,
  faults: FaultPlan,
  classes: ReadonlyMap<string, NodeDefinition>,
) {
  const fault = faults.take("partial_validity", promptId);
  const bad = fault && (fault.nodeId ?? outputs[0]);
  if (bad === undefined) {
    return { graph, outputs, targets: outputs, nodeErrors };
  }
  const left = outputs.filter((id) => id !== bad);
  const node = graph[bad];
  const classType = isJsonObject(node) ? node.class_type : "";
  const [inputName = ""] = Object.keys(classes.get(String(classType))?.required ?? {});
  const error: ValidationError = {
    ...plainError("required_input_missing", "Required input is missing", inputName),
    extra_info: { input_name: inputName },
  };
  const sources = Object.values(inputsOf(graph, bad)).flatMap((value) => linkOf(value)?.nodeId ?? []);
  return {
    graph,
    outputs: left,
    targets: left.length > 0 ? left : sources,
    nodeErrors: {
      ...nodeErrors,
      [bad]: { errors: [error], dependent_outputs: [bad], class_type: String(classType) },
    },
  };
}
