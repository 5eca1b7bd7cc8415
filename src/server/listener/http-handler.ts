import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";

/** A request, whichever version of HTTP it came by. */
export type HttpRequest = IncomingMessage | Http2ServerRequest;

/** A response, whichever version of HTTP it goes by. */
export type HttpResponse = ServerResponse | Http2ServerResponse;

/** Answers requests of every version of HTTP. Must not throw. */
export type HttpHandler = (req: HttpRequest, res: HttpResponse) => void;

/** Whether `res` goes by HTTP/2. */
export function isHttp2Response(res: HttpResponse): res is Http2ServerResponse {
  return "stream" in res;
}
