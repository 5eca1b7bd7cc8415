import { randomUUID } from "node:crypto";

/** Header that carries the id of a request, in both directions. */
export const requestIdHeader = "x-request-id";

/**
 * The id under which a request is logged: the caller's own if it is short and plain, so that it can be followed through
 * several services; else a new UUID.
 */
export function chooseRequestId(ofCaller: string | readonly string[] | undefined): string {
  return typeof ofCaller === "string" && plain.test(ofCaller) ? ofCaller : randomUUID();
}

/** The id of a request that came through the RPC handler, which puts it into the headers. */
export function requestIdOf(header: Headers): string {
  return header.get(requestIdHeader) ?? "";
}

/** Nothing that could confuse a log or a header. */
const plain = /^[A-Za-z0-9._:/+=-]{1,128}$/;
