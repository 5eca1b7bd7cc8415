import { constants } from "node:http2";
import { type HttpRequest, type HttpResponse, isHttp2Response } from "./http-handler.ts";

/**
 * Lets a client that still sends read an answer that came early, such as that its message is too large: what it sends
 * on is thrown away for a while, and only then is it cut off.
 *
 * Without this the answer is lost to most clients: Node closes the HTTP/1.1 connection, or resets the HTTP/2 stream
 * before the end of the answer is on the wire. The handler must leave the request open: it must not destroy it.
 */
export function lingerAfterAnswer(req: HttpRequest, res: HttpResponse): void {
  const answered = isHttp2Response(res) ? res.stream : res;
  answered.once("finish", () => {
    if (req.complete) return;
    req.resume();
    const timer = setTimeout(() => {
      if (!req.complete) cutOff(res);
    }, lingerMs);
    timer.unref();
    req.once("close", () => clearTimeout(timer));
  });
}

const lingerMs = 5_000;

function cutOff(res: HttpResponse): void {
  if (isHttp2Response(res)) res.stream.close(constants.NGHTTP2_NO_ERROR);
  else res.req.socket.destroy();
}
