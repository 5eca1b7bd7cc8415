import type { IncomingMessage, ServerResponse } from "node:http";
import { type Json, parseJson, stringifyJson } from "../json.ts";

/** A request and the answer to it. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
  /** Values of the `{name}` parts of the route's path, decoded. */
  readonly params: Readonly<Record<string, string>>;
}

/** Something that the server answers to. An error that is thrown becomes an answer with status 500, as with ComfyUI. */
export interface Route {
  readonly method: "GET" | "POST" | "DELETE";
  /** `/queue`, `/history/{id}`. Served with `/api` before it as well, unless it begins with `/api` or `/demo`. */
  readonly path: string;
  readonly handle: (exchange: Exchange) => void | Promise<void>;
}

/** Largest body that is accepted, in bytes: ComfyUI's default. */
export const MAX_BODY_BYTES = 100 * 1024 * 1024;

/** The body is larger than `MAX_BODY_BYTES`. */
export class BodyTooLarge extends Error {
  override readonly name = "BodyTooLarge";
}

/** @throws BodyTooLarge */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  if (Number(request.headers["content-length"] ?? 0) > MAX_BODY_BYTES) {
    throw new BodyTooLarge();
  }
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    const bytes: Buffer = chunk;
    size += bytes.length;
    if (size > MAX_BODY_BYTES) {
      throw new BodyTooLarge();
    }
    chunks.push(bytes);
  }
  return Buffer.concat(chunks, size);
}

/** @throws SyntaxError, BodyTooLarge */
export async function readJson(request: IncomingMessage): Promise<Json> {
  return parseJson((await readBody(request)).toString("utf8"));
}

/** Answers with JSON. */
export function replyJson({ response }: Exchange, value: unknown, status = 200): void {
  const body = Buffer.from(stringifyJson(value));
  response.writeHead(status, {
    "Content-Type": "application/json; charset=utf-8",
    "Content-Length": body.length,
  });
  response.end(body);
}

/** Answers without a body. */
export function replyEmpty({ response }: Pick<Exchange, "response">, status: number): void {
  response.writeHead(status, { "Content-Length": 0 });
  response.end();
}

/** Answers with text. */
export function replyText(
  { response }: Pick<Exchange, "response">,
  status: number,
  text: string,
  contentType = "text/plain; charset=utf-8",
): void {
  response.writeHead(status, { "Content-Type": contentType, "Content-Length": Buffer.byteLength(text) });
  response.end(text);
}
