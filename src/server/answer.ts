import { once } from "node:events";
import { type HttpResponse, isHttp2Response } from "./listener/http-handler.ts";

/** Sends a short answer that is no RPC response. Node leaves the text out where the request was a HEAD. */
export function answerText(res: HttpResponse, status: number, contentType: string, text: string): void {
  res.statusCode = status;
  res.setHeader("content-type", contentType);
  res.setHeader("content-length", Buffer.byteLength(text));
  end(res, text);
}

/** Sends a short answer in JSON. */
export function answerJson(res: HttpResponse, status: number, body: unknown): void {
  answerText(res, status, "application/json", `${JSON.stringify(body)}\n`);
}

/** Sends an answer that has nothing but its headers, and trailers if some were set. */
export function answerHeaders(res: HttpResponse, status: number): void {
  res.statusCode = status;
  end(res, "");
}

/**
 * Sends the next bytes of an answer, and waits until the client has taken most of what was sent before.
 *
 * @throws the reason of `signal`
 */
export async function sendBytes(res: HttpResponse, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const hasRoom = isHttp2Response(res) ? res.write(bytes) : res.write(bytes);
  if (!hasRoom) {
    await once(res, "drain", { signal }).catch((error: unknown) => {
      signal.throwIfAborted();
      throw error;
    });
  }
}

/** Ends an answer whose bytes have been sent. */
export function endAnswer(res: HttpResponse): void {
  if (isHttp2Response(res)) res.end();
  else res.end();
}

function end(res: HttpResponse, text: string): void {
  if (isHttp2Response(res)) res.end(text);
  else res.end(text);
}
