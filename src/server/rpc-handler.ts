import {
  Code,
  ConnectError,
  type ConnectRouter,
  createConnectRouter,
  type Interceptor,
} from "@connectrpc/connect";
import type {
  UniversalHandler,
  UniversalServerRequest,
  UniversalServerResponse,
} from "@connectrpc/connect/protocol";
import {
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import type { Logger } from "../telemetry/logger.ts";
import { answerJson } from "./answer.ts";
import type { AssetRoute } from "./asset-route.ts";
import { createCorsPolicy } from "./cors.ts";
import { dropEndlessDeadline } from "./deadline.ts";
import { statusDetailTypes } from "./errors.ts";
import { withPlainStatusMessage } from "./grpc-message.ts";
import { inPieces } from "./in-pieces.ts";
import type { HttpHandler, HttpRequest, HttpResponse } from "./listener/http-handler.ts";
import { answerProbe, type Readiness } from "./probes.ts";
import { chooseRequestId, requestIdHeader } from "./request-id.ts";
import { answerUnknownPath, answerWrongForm } from "./unserved.ts";

/** Registers services on a router. */
export type Routes = (router: ConnectRouter) => void;

export interface RpcHandlerOptions {
  /** Registers the services. Called once, at once. */
  readonly routes: Routes;
  /** Run around each call, the first one outermost. */
  readonly interceptors: readonly Interceptor[];
  /** Aborts the signals of all calls, with its reason. See `ListenerOptions.shutdown`. */
  readonly shutdownSignal: AbortSignal;
  /** Asked by `GET /readyz`. Must not throw. */
  readonly readiness: () => Readiness;
  /** Answers `GET /assets/{asset_id}`. Default: there is nothing there. */
  readonly assetRoute?: AssetRoute;
  /** Told what goes wrong below the RPCs. */
  readonly logger: Logger;
  /** Origins whose scripts may call from a browser, such as `https://app.example.com`, or `*`. Default: none. */
  readonly corsOrigins?: readonly string[];
  /** Largest message of a request, in bytes, also after decompression. Default: 33 554 432. Range: 1 to 2³²−1. */
  readonly readMaxBytes?: number;
  /** Largest message of a response, in bytes. Default and largest: 2³²−1. */
  readonly writeMaxBytes?: number;
}

/**
 * Answers HTTP requests: the registered RPCs in the protocols gRPC, gRPC-Web and Connect, `GET /healthz` and
 * `GET /readyz`, assets, CORS preflights, and everything else with an error that helps. Every response carries
 * `x-request-id`, and so does the request header that interceptors and methods see.
 *
 * Requests may be compressed with gzip. Responses are not: images do not shrink, and compressing them costs several
 * times what sending them does.
 */
export function createRpcHandler(options: RpcHandlerOptions): HttpHandler {
  const router = createConnectRouter({
    interceptors: [...options.interceptors],
    // A misspelt field would otherwise be taken for one that was left out.
    jsonOptions: { ignoreUnknownFields: false, registry: statusDetailTypes },
    shutdownSignal: options.shutdownSignal,
    readMaxBytes: options.readMaxBytes ?? 32 * 1024 * 1024,
    writeMaxBytes: options.writeMaxBytes ?? 0xffffffff,
    acceptCompression: [compressionGzip],
    compressMinBytes: 0xffffffff,
  });
  options.routes(router);
  const methods = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  const applyCors = createCorsPolicy(options.corsOrigins ?? []);

  return (req, res) => {
    const requestId = chooseRequestId(req.headers[requestIdHeader]);
    res.setHeader(requestIdHeader, requestId);
    if (applyCors(req, res)) return;
    if (answerProbe(req, res, options.readiness)) return;
    if (options.assetRoute?.(req, res, requestId, options.shutdownSignal)) return;

    const [path = ""] = (req.url ?? "").split("?", 1);
    const method = methods.get(path);
    if (!method) return answerUnknownPath(req, res, path, methods);
    if (answerWrongForm(req, res, method)) return;
    void call(method, req, res, requestId, options.logger);
  };
}

async function call(
  method: UniversalHandler,
  req: HttpRequest,
  res: HttpResponse,
  requestId: string,
  logger: Logger,
): Promise<void> {
  let request: UniversalServerRequest;
  try {
    request = universalRequestFromNodeRequest(req, res, undefined, undefined);
    request.header.set(requestIdHeader, requestId);
    dropEndlessDeadline(request.header);
  } catch (error) {
    logger.debug({ requestId, err: error }, "request refused: bad host or header");
    answerJson(res, 400, { code: "invalid_argument", message: "the request has no usable host or header" });
    return;
  }
  try {
    // An early answer must not destroy what is left of the request, or the client does not get to read it.
    const body = req.iterator({ destroyOnReturn: false });
    const response = await method({ ...request, body });
    await universalResponseToNodeResponse(response.body ? shaped(response, response.body) : response, res);
  } catch (error) {
    // Errors of the method were sent to the client. This one came up while sending, nearly always since the client left.
    const level = ConnectError.from(error).code === Code.Aborted ? "debug" : "warn";
    logger[level]({ requestId, method: method.method.name, err: error }, "answer not sent to its end");
    res.destroy();
  }
}

function shaped(response: UniversalServerResponse, body: AsyncIterable<Uint8Array>): UniversalServerResponse {
  const { trailer } = response;
  const pieces = inPieces(body);
  return { ...response, body: trailer === undefined ? pieces : withPlainStatusMessage(pieces, trailer) };
}
