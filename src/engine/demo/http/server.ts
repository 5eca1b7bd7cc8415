import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { isIPv4, isIPv6 } from "node:net";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import type { Logger } from "../../../telemetry/logger.ts";
import type { Gate } from "../gate.ts";
import { BodyTooLarge, type Exchange, type Route, replyEmpty, replyText } from "./exchange.ts";

/** What the server answers to. */
export interface HttpServerOptions {
  readonly routes: readonly Route[];
  readonly gate: Gate;
  /** Takes over a new WebSocket. */
  readonly onSocket: (socket: WebSocket, wire: Duplex, clientId: string) => void;
  readonly logger: Logger;
}

/** aiohttp keeps idle connections for about an hour; Node's five seconds would provoke resets that ComfyUI does not. */
const KEEP_ALIVE_MS = 3_630_000;

const MAX_SOCKET_MESSAGE_BYTES = 4 * 1024 * 1024;

/** Makes the HTTP server: routes, WebSockets, and the errors of the protocol. It does not listen yet. */
export function createHttpServer({ routes, gate, onSocket, logger }: HttpServerOptions): Server {
  const router = createRouter(routes);
  const upgrader = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MAX_SOCKET_MESSAGE_BYTES,
  });
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS, noDelay: true }, (request, response) => {
    const { path, query } = splitUrl(request.url ?? "/");
    if (!path.startsWith("/demo/") && gate.state !== "open") {
      turnAway(gate.state, request, response);
      return;
    }
    void answer(router, path, query, request, response, logger);
  });
  server.on("upgrade", (request, wire: Duplex, head) => {
    const { path, query } = splitUrl(request.url ?? "/");
    const isSocketPath = path === "/ws" || path === "/api/ws";
    if (gate.state === "reset") {
      wire.destroy();
    } else if (gate.state === "unavailable" || !isSocketPath || isForeign(request)) {
      const status =
        gate.state === "unavailable"
          ? "503 Service Unavailable"
          : isSocketPath
            ? "403 Forbidden"
            : "404 Not Found";
      wire.end(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
    } else {
      wire.on("error", (error) => logger.debug({ err: error }, "socket failed"));
      upgrader.handleUpgrade(request, wire, head, (socket) =>
        onSocket(socket, wire, query.get("clientId") ?? ""),
      );
    }
  });
  return server;
}

type Router = (
  method: string,
  path: string,
) => { readonly route: Route; readonly params: Record<string, string> } | undefined;

function createRouter(routes: readonly Route[]): Router {
  const exact = new Map<string, Route>();
  const patterns: { readonly route: Route; readonly parts: readonly string[] }[] = [];
  for (const route of routes) {
    for (const path of pathsOf(route)) {
      if (path.includes("{")) {
        patterns.push({ route, parts: path.split("/") });
      } else {
        exact.set(`${route.method} ${path}`, route);
      }
    }
  }
  return (method, path) => {
    const route = exact.get(`${method} ${path}`);
    if (route) {
      return { route, params: {} };
    }
    const parts = path.split("/");
    for (const pattern of patterns) {
      const params = pattern.route.method === method ? matchParts(pattern.parts, parts) : undefined;
      if (params) {
        return { route: pattern.route, params };
      }
    }
    return undefined;
  };
}

function pathsOf({ path }: Route): readonly string[] {
  return path.startsWith("/api/") || path.startsWith("/demo/") || path === "/"
    ? [path]
    : [path, `/api${path}`];
}

function matchParts(
  pattern: readonly string[],
  parts: readonly string[],
): Record<string, string> | undefined {
  if (pattern.length !== parts.length) {
    return undefined;
  }
  const params: Record<string, string> = {};
  for (const [index, part] of pattern.entries()) {
    const value = parts[index] ?? "";
    if (part.startsWith("{")) {
      params[part.slice(1, -1)] = decode(value);
    } else if (part !== value) {
      return undefined;
    }
  }
  return params;
}

async function answer(
  router: Router,
  path: string,
  query: URLSearchParams,
  request: IncomingMessage,
  response: ServerResponse,
  logger: Logger,
): Promise<void> {
  try {
    if (isForeign(request)) {
      replyEmpty({ response }, 403);
      return;
    }
    const method = request.method === "HEAD" ? "GET" : (request.method ?? "GET");
    const match = router(method, path);
    if (match) {
      const exchange: Exchange = { request, response, query, params: match.params };
      await match.route.handle(exchange);
    } else {
      replyUnknown(method, response);
    }
  } catch (error) {
    replyError(error, request, response, logger);
  }
}

/** A GET that nothing answers to ends at the static files, where there are none; other methods are not allowed there. */
function replyUnknown(method: string, response: ServerResponse): void {
  if (method === "GET") {
    response.setHeader("Content-Type", "application/octet-stream");
    replyEmpty({ response }, 404);
  } else if (method === "OPTIONS") {
    replyEmpty({ response }, 200);
  } else {
    response.setHeader("Allow", "GET,HEAD");
    replyText({ response }, 405, "405: Method Not Allowed");
  }
}

function replyError(
  error: unknown,
  request: IncomingMessage,
  response: ServerResponse,
  logger: Logger,
): void {
  if (response.headersSent || response.destroyed) {
    logger.debug({ err: error }, "an answer was cut off");
    response.destroy();
    return;
  }
  // The rest of the request is not read, so the connection cannot be used again.
  response.setHeader("Connection", "close");
  if (error instanceof BodyTooLarge) {
    request.resume();
    replyText({ response }, 413, "Maximum request body size 104857600 exceeded.");
    return;
  }
  logger.debug({ err: error }, "a request failed");
  replyText({ response }, 500, "500 Internal Server Error\n\nServer got itself in trouble");
}

function turnAway(
  how: "open" | "reset" | "unavailable",
  request: IncomingMessage,
  response: ServerResponse,
): void {
  if (how === "reset") {
    request.socket.resetAndDestroy();
    return;
  }
  const page = "<html><head><title>503 Service Unavailable</title></head><body><h1>503</h1></body></html>";
  response.setHeader("Connection", "close");
  replyText({ response }, 503, page, "text/html");
}

/**
 * Whether a web page of another origin is behind the request: then ComfyUI refuses it, if it listens on the loopback
 * interface, so that a page cannot queue prompts on its reader's machine.
 */
function isForeign({ headers }: IncomingMessage): boolean {
  if (headers["sec-fetch-site"] === "cross-site") {
    return true;
  }
  if (headers.host === undefined || headers.origin === undefined || !URL.canParse(headers.origin)) {
    return false;
  }
  const host = new URL(`http://${headers.host}`);
  const origin = new URL(headers.origin);
  const usePorts = host.port !== "" && origin.port !== "";
  const same = usePorts ? host.host === origin.host : host.hostname === origin.hostname;
  return isLoopback(host.hostname) && !same;
}

function isLoopback(hostname: string): boolean {
  const address = hostname.replace(/^\[|\]$/g, "");
  return (
    address === "localhost" ||
    (isIPv4(address) && address.startsWith("127.")) ||
    (isIPv6(address) && address === "::1")
  );
}

function splitUrl(url: string): { readonly path: string; readonly query: URLSearchParams } {
  const mark = url.indexOf("?");
  return mark < 0
    ? { path: url, query: NO_QUERY }
    : { path: url.slice(0, mark), query: new URLSearchParams(url.slice(mark + 1)) };
}

const NO_QUERY = new URLSearchParams();

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // A stray percent sign stands for itself.
    return text;
  }
}
