import type { InterruptFlag } from "../execute.ts";
import { isJsonObject, type Json, type JsonObject } from "../json.ts";
import { pythonTruth } from "../python.ts";
import { type PromptQueue, queueEntryOf } from "../queue.ts";
import type { FreeRequest } from "../worker.ts";
import { type Route, readBody, readJson, replyEmpty, replyJson } from "./exchange.ts";

/** What the routes act upon. */
export interface QueueRoutesOptions {
  readonly queue: PromptQueue;
  readonly interrupt: InterruptFlag;
  readonly free: (request: FreeRequest) => void;
}

/** The queue, interruption, and freeing of memory. */
export function queueRoutes({ queue, interrupt, free }: QueueRoutesOptions): readonly Route[] {
  return [
    {
      method: "GET",
      path: "/queue",
      handle: (exchange) =>
        replyJson(exchange, {
          queue_running: queue.running.map(queueEntryOf),
          queue_pending: queue.pending.map(queueEntryOf),
        }),
    },
    {
      method: "POST",
      path: "/queue",
      handle: async (exchange) => {
        const body = objectIn(await readJson(exchange.request));
        if (pythonTruth(body.clear ?? false)) {
          queue.clear();
        }
        for (const id of idsIn(body)) {
          queue.delete(id);
        }
        replyEmpty(exchange, 200);
      },
    },
    {
      method: "POST",
      path: "/interrupt",
      handle: async (exchange) => {
        const promptId = promptIdIn((await readBody(exchange.request)).toString("utf8"));
        if (promptId === undefined || queue.isRunning(promptId)) {
          interrupt.raised = true;
        }
        replyEmpty(exchange, 200);
      },
    },
    {
      method: "POST",
      path: "/free",
      handle: async (exchange) => {
        const body = objectIn(await readJson(exchange.request));
        free({
          unloadModels: pythonTruth(body.unload_models ?? false),
          freeMemory: pythonTruth(body.free_memory ?? false),
        });
        replyEmpty(exchange, 200);
      },
    },
  ];
}

/** Ids in the `delete` list of a body. */
export function idsIn(body: JsonObject): readonly string[] {
  const ids = body.delete ?? [];
  if (!Array.isArray(ids)) {
    throw new TypeError("delete is no list");
  }
  return ids.filter((id: Json) => typeof id === "string");
}

/** @throws TypeError if it is none */
export function objectIn(body: Json): JsonObject {
  if (!isJsonObject(body)) {
    throw new TypeError("the body is no object");
  }
  return body;
}

/** The prompt that an interruption names; `undefined` if it means whatever runs, as it also does if it is no JSON. */
function promptIdIn(text: string): string | undefined {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    // `{}` has no id; what is no object at all ends in an error.
    throw new TypeError("the body is no object");
  }
  const promptId = "prompt_id" in body ? body.prompt_id : undefined;
  return typeof promptId === "string" && promptId !== "" ? promptId : undefined;
}
