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

function end(res: HttpResponse, text: string): void {
  if (isHttp2Response(res)) res.end(text);
  else res.end(text);
}
