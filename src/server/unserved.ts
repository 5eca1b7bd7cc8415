import { Code } from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import { cutText } from "../lib/cut-text.ts";
import { answerHeaders, answerJson } from "./answer.ts";
import { encodeStatusMessage } from "./grpc-message.ts";
import type { HttpRequest, HttpResponse } from "./listener/http-handler.ts";

/** The methods that are served, by the path of their requests. */
export type Methods = ReadonlyMap<string, UniversalHandler>;

/**
 * Answers a request that names no method: with status `UNIMPLEMENTED` if it speaks gRPC or gRPC-Web, else with 404 and
 * an error of the Connect protocol. Says which methods there are.
 */
export function answerUnknownPath(req: HttpRequest, res: HttpResponse, path: string, methods: Methods): void {
  const message = unknownPathText(path, methods);
  const contentType = req.headers["content-type"] ?? "";
  if (!contentType.startsWith("application/grpc")) {
    answerJson(res, 404, { code: "unimplemented", message });
    return;
  }
  const status = { "grpc-status": String(Code.Unimplemented), "grpc-message": encodeStatusMessage(message) };
  const [grpcWeb] = /^application\/grpc-web(-text)?(\+[a-z]+)?/.exec(contentType) ?? [];
  if (grpcWeb) {
    res.setHeader("content-type", grpcWeb);
    for (const [name, value] of Object.entries(status)) res.setHeader(name, value);
  } else {
    // Among the headers of a response without body, grpc-js would not see them: Node ends such a stream by a frame of its own.
    res.setHeader("content-type", "application/grpc");
    res.addTrailers(status);
  }
  answerHeaders(res, 200);
}

/**
 * Answers a request whose verb, version of HTTP or content type the method does not take, with an error that says what
 * it takes. Returns false, and leaves the request alone, if there is nothing wrong with it.
 */
export function answerWrongForm(req: HttpRequest, res: HttpResponse, handler: UniversalHandler): boolean {
  const { method, allowedMethods } = handler;
  if (!allowedMethods.includes(req.method ?? "")) {
    res.setHeader("allow", allowedMethods.join(", "));
    answerJson(res, 405, {
      code: "unimplemented",
      message: `${method.name} takes ${allowedMethods.join(" or ")}`,
    });
    return true;
  }
  if (method.methodKind === "bidi_streaming" && req.httpVersionMajor < 2) {
    res.setHeader("connection", "close"); // the client may wait for an answer while it sends
    answerJson(res, 505, {
      code: "unimplemented",
      message: `${method.name} streams both ways, which needs HTTP/2`,
    });
    return true;
  }
  const contentType = req.headers["content-type"] ?? "";
  if (req.method === "POST" && !handler.supportedContentType(contentType)) {
    const types = contentTypesOf(handler);
    res.setHeader("accept-post", types.join(", "));
    answerJson(res, 415, {
      code: "invalid_argument",
      message: `${method.name} does not take ${clip(contentType) || "a request without content type"}; it takes ${types.join(", ")}`,
    });
    return true;
  }
  return false;
}

function unknownPathText(path: string, methods: Methods): string {
  const siblings = [...methods.keys()].filter((other) => other.startsWith(path.replace(/[^/]*$/, "")));
  if (/^\/[^/]+\//.test(path) && siblings.length > 0) {
    return `there is no method ${clip(path)}; there is ${siblings.join(", ")}`;
  }
  const services = new Set([...methods.values()].map((handler) => handler.service.typeName));
  return `there is nothing at ${clip(path)}; methods are called by POST to /<service>/<method>, of the services ${[...services].join(", ")}`;
}

function contentTypesOf({ method }: UniversalHandler): string[] {
  const connect = method.methodKind === "unary" ? "application/" : "application/connect+";
  return [`${connect}json`, `${connect}proto`, "application/grpc", "application/grpc-web"];
}

/** What the caller sent, short enough to repeat. */
function clip(text: string): string {
  return cutText(text, 101);
}
