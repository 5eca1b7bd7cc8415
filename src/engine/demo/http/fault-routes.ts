import { z } from "zod";
import { type FaultPlan, parseFault } from "../faults.ts";
import type { Gate } from "../gate.ts";
import { type Exchange, type Route, readJson, replyEmpty, replyJson } from "./exchange.ts";

/** Faults on order. ComfyUI has nothing of the kind; the paths are the engine's own. */
export function faultRoutes(faults: FaultPlan, gate: Gate): readonly Route[] {
  return [
    {
      method: "GET",
      path: "/demo/faults",
      handle: (exchange) => replyJson(exchange, { pending: faults.pending(), stalled: faults.stalled }),
    },
    { method: "POST", path: "/demo/faults", handle: (exchange) => order(exchange, faults) },
    {
      method: "DELETE",
      path: "/demo/faults",
      handle: (exchange) => {
        faults.clear();
        gate.open();
        replyEmpty(exchange, 204);
      },
    },
  ];
}

async function order(exchange: Exchange, faults: FaultPlan): Promise<void> {
  try {
    // Answered first: the fault may cut this very connection.
    const fault = parseFault(await readJson(exchange.request));
    exchange.response.once("finish", () => setImmediate(() => faults.order(fault)));
    replyJson(exchange, fault);
  } catch (error) {
    if (!(error instanceof z.ZodError || error instanceof SyntaxError)) {
      throw error;
    }
    replyJson(exchange, { error: error instanceof z.ZodError ? z.prettifyError(error) : error.message }, 400);
  }
}
