import { constants } from "node:http2";
import { Code } from "@connectrpc/connect";
import { create as createContentDisposition } from "content-disposition";
import fresh from "fresh";
import { parse as parseRange } from "range-parser";
import type { AssetService } from "../assets/asset-service.ts";
import { ServiceError } from "../domain/errors.ts";
import { isShownSafely } from "../domain/file-kind.ts";
import type { Clock } from "../lib/clock.ts";
import type { AssetRecord } from "../storage/asset-store.ts";
import type { Logger } from "../telemetry/logger.ts";
import { answerHeaders, answerJson, endAnswer, sendBytes } from "./answer.ts";
import { codeName } from "./code-name.ts";
import { toConnectError } from "./errors.ts";
import { type HttpRequest, type HttpResponse, isHttp2Response } from "./listener/http-handler.ts";

export interface AssetRouteOptions {
  readonly assets: Pick<AssetService, "get" | "open" | "checkLink">;
  /** Whether only signed links work. */
  readonly linksOnly: boolean;
  readonly clock: Clock;
  /** Told of each request when it has been answered, and of faults. */
  readonly logger: Logger;
}

/**
 * Answers a request for an asset, and returns whether the request was one. Aborting `shutdownSignal` cuts off answers
 * that are under way.
 */
export type AssetRoute = (
  req: HttpRequest,
  res: HttpResponse,
  requestId: string,
  shutdownSignal: AbortSignal,
) => boolean;

/**
 * Serves the bytes of assets at `GET` and `HEAD /assets/{asset_id}` to any HTTP client, as RFC 9110 has it: with an
 * `ETag`, conditions on it, and single ranges. Bytes never change under an id, so that a client may keep them for as long
 * as the service does. Bytes are read as fast as the client takes them.
 *
 * A browser is told to take them for what they are and to run nothing, whatever they hold; what is neither an image nor a
 * video nor sound of a common format it is told to save. Pages of other sites may show
 * them by signed links only.
 */
export function createAssetRoute(options: AssetRouteOptions): AssetRoute {
  const { clock, logger } = options;
  return (req, res, requestId, shutdownSignal) => {
    const [path = "", query = ""] = splitOnce(req.url ?? "", "?");
    if (!path.startsWith(prefix)) return false;

    const startMs = clock.monotonicMs();
    const closed = new AbortController();
    res.once("close", () => {
      closed.abort();
      const status = res.writableFinished ? res.statusCode : "canceled";
      const durationMs = Math.round(clock.monotonicMs() - startMs);
      logger.info({ requestId, method: `${req.method} ${prefix}`, status, durationMs }, "call");
    });
    const request = {
      req,
      res,
      assetId: path.slice(prefix.length),
      query: new URLSearchParams(query),
      signal: AbortSignal.any([closed.signal, shutdownSignal]),
    };
    void serve(request, options).catch((error: unknown) => answerError(error, request, requestId, logger));
    return true;
  };
}

const prefix = "/assets/";

/** There is but one tenant yet. */
const owner = { tenant: "" };

/** A few pieces may wait for a slow client, in its connection. */
const chunkBytes = 64 * 1024;

interface AssetRequest {
  readonly req: HttpRequest;
  readonly res: HttpResponse;
  /** As the caller wrote it. */
  readonly assetId: string;
  readonly query: URLSearchParams;
  readonly signal: AbortSignal;
}

async function serve(request: AssetRequest, options: AssetRouteOptions): Promise<void> {
  const { req, res, assetId, query, signal } = request;
  const { assets, clock } = options;
  if (req.method !== "GET" && req.method !== "HEAD") {
    res.setHeader("allow", "GET, HEAD");
    return refuse(res, 405, Code.Unimplemented, "assets take GET and HEAD");
  }
  if (!/^[0-9a-f]{64}$/.test(assetId)) {
    return refuse(res, 404, Code.NotFound, "there is no such asset: an id has 64 digits out of 0-9 and a-f");
  }
  const link = await assets.checkLink(assetId, query, owner, signal);
  const refusal = link === undefined ? (options.linksOnly ? linkNeeded : undefined) : refusals[link.type];
  if (refusal !== undefined) {
    return refuse(res, 403, Code.PermissionDenied, refusal);
  }
  const asset = await assets.get(assetId, owner, signal);
  const linkExpireTime = link?.type === "valid" ? link.expireTime : undefined;
  await send(asset, headersOf(asset, linkExpireTime, clock.now()), request, assets);
}

const linkNeeded = "this server gives assets by signed links only; have one made by SignAssetUrl";

const refusals = {
  valid: undefined,
  expired: "the link has expired; have another one made by SignAssetUrl",
  invalid: "the link is not valid for this asset: it was changed, or was made by another server",
} as const;

type Headers = Readonly<Record<string, string | number>>;

/** What is said of an asset in any answer that has it, or spares sending it. */
function headersOf(asset: AssetRecord, linkExpireTime: Date | undefined, now: Date) {
  const keptMs = Math.min(
    asset.expireTime.getTime() - now.getTime(),
    (linkExpireTime ?? asset.expireTime).getTime() - now.getTime(),
    longestCacheMs,
  );
  const maxAge = Math.floor(keptMs / 1_000);
  return {
    etag: `"${asset.id}"`,
    "cache-control": maxAge > 0 ? `private, max-age=${maxAge}, immutable` : "private, no-cache",
    "accept-ranges": "bytes",
    "content-security-policy": "default-src 'none'; sandbox",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": linkExpireTime === undefined ? "same-site" : "cross-origin",
  } as const;
}

/** Caches take no more for good. */
const longestCacheMs = 365 * 24 * 3_600_000;

async function send(
  asset: AssetRecord,
  headers: ReturnType<typeof headersOf>,
  { req, res, signal }: AssetRequest,
  assets: Pick<AssetService, "open">,
): Promise<void> {
  if (hasItAlready(req, headers)) {
    setHeaders(res, headers);
    return answerHeaders(res, 304);
  }
  const range = rangeOf(req, headers.etag, asset.sizeBytes);
  if (range === "unsatisfiable") {
    setHeaders(res, { "accept-ranges": "bytes", "content-range": `bytes */${asset.sizeBytes}` });
    return refuse(
      res,
      416,
      Code.OutOfRange,
      `the asset has ${asset.sizeBytes} bytes; the range begins after them`,
    );
  }
  const { start, end } = range ?? { start: 0, end: asset.sizeBytes - 1 };
  const begin = () => {
    res.statusCode = range === undefined ? 200 : 206;
    setHeaders(res, {
      ...headers,
      "content-type": contentTypeOf(asset),
      "content-disposition": createContentDisposition(fileNameOf(asset), {
        type: isShownSafely(asset.mediaType) ? "inline" : "attachment",
      }),
      "content-length": end - start + 1,
      ...(range && { "content-range": `bytes ${start}-${end}/${asset.sizeBytes}` }),
    });
  };
  if (req.method === "HEAD") {
    begin();
    return endAnswer(res);
  }
  let begun = false;
  for await (const chunk of assets.open(
    asset,
    { offset: start, lengthBytes: end - start + 1, chunkBytes },
    signal,
  )) {
    if (!begun) begin(); // not before there is something to send, so that a failure can still be told
    begun = true;
    await sendBytes(res, chunk, signal);
  }
  if (!begun) begin();
  endAnswer(res);
}

/**
 * Whether the caller has the asset, by the conditions of its request. Its `cache-control` is for caches on the way, which we
 * are not; `fetch` says `no-cache` of its own accord where a condition is given.
 */
function hasItAlready(
  { headers: { "cache-control": _, ...conditions } }: HttpRequest,
  headers: Headers,
): boolean {
  return fresh(conditions, headers);
}

/**
 * The bytes that are asked for: `undefined` is all of them, as for several ranges, a malformed one, and one of another
 * version of the asset.
 */
function rangeOf(
  { method, headers }: HttpRequest,
  etag: string,
  sizeBytes: number,
): { readonly start: number; readonly end: number } | "unsatisfiable" | undefined {
  const ifRange = headers["if-range"];
  if (method !== "GET" || headers.range === undefined || (ifRange !== undefined && ifRange !== etag)) {
    return undefined;
  }
  const { code, type, ranges } = parseRange(sizeBytes, headers.range);
  if (type !== "bytes" || (code & malformed) !== 0 || ranges.length > 1) {
    return undefined;
  }
  return ranges[0] ?? "unsatisfiable";
}

/** Flag in what `range-parser` says. */
const malformed = 1;

/** Texts are UTF-8, or of a workflow that did not say what else they are. */
function contentTypeOf({ mediaType }: AssetRecord): string {
  return mediaType.startsWith("text/") ? `${mediaType}; charset=utf-8` : mediaType;
}

/** Under which a browser saves it: free of what cannot be seen, or could make it look like something else. */
function fileNameOf({ id, fileName, mediaType, origin }: AssetRecord): string {
  const visible = fileName.replace(/[\p{C}\p{Zl}\p{Zp}/\\]/gu, "").trim();
  if (visible !== "") {
    return visible;
  }
  const name = origin?.imageIndex === undefined ? id.slice(0, 16) : `${origin.jobId}-${origin.imageIndex}`;
  return `${name}.${extensions.get(mediaType) ?? mediaType.replace(/^.*\//, "")}`;
}

/** Of what has no name of its own, where it is not the second half of the media type. */
const extensions: ReadonlyMap<string, string> = new Map([
  ["image/jpeg", "jpg"],
  ["text/plain", "txt"],
  ["application/octet-stream", "bin"],
]);

function setHeaders(res: HttpResponse, headers: Headers): void {
  for (const [name, value] of Object.entries(headers)) {
    res.setHeader(name, value);
  }
}

function refuse(res: HttpResponse, status: number, code: Code, message: string): void {
  res.setHeader("cache-control", "no-store");
  answerJson(res, status, { code: codeName(code), message });
}

function answerError(error: unknown, { res, signal }: AssetRequest, requestId: string, logger: Logger): void {
  if (signal.aborted || res.headersSent) {
    if (!signal.aborted) {
      logger.warn({ requestId, err: error }, "an asset could not be sent to its end");
    }
    breakOff(res);
    return;
  }
  const { code, rawMessage } = toConnectError(error, requestId);
  if (code === Code.Internal) {
    logger.error({ requestId, err: error }, "an asset could not be sent");
  }
  if (code === Code.Unavailable) {
    const retryAfterMs = error instanceof ServiceError ? error.details.retryAfterMs : undefined;
    res.setHeader("retry-after", Math.max(1, Math.ceil((retryAfterMs ?? 0) / 1_000)));
  }
  refuse(res, httpStatusOf(code), code, rawMessage);
}

/** Ends an answer so that its client does not take what it has got for the whole. */
function breakOff(res: HttpResponse): void {
  if (isHttp2Response(res)) res.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  else res.destroy();
}

function httpStatusOf(code: Code): number {
  switch (code) {
    case Code.NotFound:
      return 404;
    case Code.Unavailable:
      return 503;
    default:
      return 500;
  }
}

function splitOnce(text: string, separator: string): [string, string?] {
  const at = text.indexOf(separator);
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}
