import { cors } from "@connectrpc/connect";
import { answerHeaders, answerJson } from "./answer.ts";
import type { HttpRequest, HttpResponse } from "./listener/http-handler.ts";
import { requestIdHeader } from "./request-id.ts";

/**
 * Lets scripts of other origins call the service from a browser (https://fetch.spec.whatwg.org/#http-cors-protocol).
 * Returns true if it has answered the request, which was a preflight.
 *
 * Cookies are never allowed: there is no authentication, so they could tell the service nothing.
 */
export type CorsPolicy = (req: HttpRequest, res: HttpResponse) => boolean;

/**
 * Allows `origins`, each such as `https://app.example.com`; `*` allows every origin. With none, requests are served as
 * if CORS did not exist, and a browser keeps the answers from scripts of other origins.
 */
export function createCorsPolicy(origins: readonly string[]): CorsPolicy {
  if (origins.length === 0) return () => false;
  const anyOrigin = origins.includes("*");

  return (req, res) => {
    const { origin } = req.headers;
    const isPreflight =
      req.method === "OPTIONS" &&
      origin !== undefined &&
      req.headers["access-control-request-method"] !== undefined;
    const allowed = anyOrigin || (origin !== undefined && origins.includes(origin));

    if (!anyOrigin) res.setHeader("vary", "Origin");
    if (origin !== undefined && allowed) {
      res.setHeader("access-control-allow-origin", anyOrigin ? "*" : origin);
      if (isPreflight) allowCalls(res);
      else res.setHeader("access-control-expose-headers", exposedHeaders);
    }
    if (isPreflight) answerPreflight(res, allowed);
    return isPreflight;
  };
}

function allowCalls(res: HttpResponse): void {
  res.setHeader("access-control-allow-methods", cors.allowedMethods.join(", "));
  res.setHeader("access-control-allow-headers", allowedHeaders);
  // Browsers keep the answer for two hours at most (Chromium), whatever is said here.
  res.setHeader("access-control-max-age", "7200");
}

function answerPreflight(res: HttpResponse, allowed: boolean): void {
  if (allowed) answerHeaders(res, 204);
  else {
    const message = "scripts of this origin may not call the service; add it to the allowed CORS origins";
    answerJson(res, 403, { code: "permission_denied", message });
  }
}

const allowedHeaders = [
  ...cors.allowedHeaders,
  "Authorization",
  requestIdHeader,
  // of requests for assets
  "If-None-Match",
  "If-Range",
  "Range",
].join(", ");

const exposedHeaders = [
  ...cors.exposedHeaders,
  requestIdHeader,
  `Trailer-${requestIdHeader}`, // unary calls of the Connect protocol carry trailers as headers with this prefix
  // of answers with assets
  "Accept-Ranges",
  "Content-Disposition",
  "Content-Length",
  "Content-Range",
  "ETag",
].join(", ");
