import type { HandlerContext } from "@connectrpc/connect";
import type { Caller } from "../jobs/caller.ts";
import { requestIdOf } from "./request-id.ts";

/** Who makes the call of `context`. There is but one tenant yet. */
export function callerOf(context: HandlerContext): Caller {
  return { tenant: "", requestId: requestIdOf(context.requestHeader) };
}
