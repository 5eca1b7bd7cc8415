import { isIP } from "node:net";
import { UsageError } from "./usage-error.ts";

/** Where a service listens. */
export interface ServerAddress {
  /** Host name or IP address, an IPv6 one without brackets. */
  readonly host: string;
  readonly port: number;
  /** Whether to speak TLS. */
  readonly tls: boolean;
}

/** Where `comfyrpc serve` listens unless told otherwise. */
export const defaultServer = "127.0.0.1:8080";

/**
 * Reads `host:port`, `http://host:port` or `https://host:port`. The port may be left out: it is then 8080, or 80 and
 * 443 after a scheme. An IPv6 address is written in brackets.
 *
 * @param tls whether TLS is wanted although no `https://` says so
 * @throws UsageError if `text` is none of these
 */
export function parseServerAddress(text: string, tls = false): ServerAddress {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (scheme !== undefined && scheme !== "http" && scheme !== "https") {
    throw new UsageError(`--server: ${scheme}:// is not spoken here; use host:port, http:// or https://`);
  }
  if (scheme === "http" && tls) throw new UsageError("--server: http:// contradicts --tls and --ca");
  const url = parseUrl(scheme === undefined ? `http://${text}` : text, text);
  const isTls = tls || scheme === "https";
  const fallbackPort = scheme === undefined ? 8080 : isTls ? 443 : 80;
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: explicitPort(text) ?? fallbackPort,
    tls: isTls,
  };
}

/** `address` as people write it, to name it in messages. */
export function formatServerAddress({ host, port, tls }: ServerAddress): string {
  return `${tls ? "https://" : ""}${hostPort(host, port)}`;
}

/** `address` as a URL without a path, such as `http://127.0.0.1:8080`. */
export function baseUrlOf({ host, port, tls }: ServerAddress): string {
  return `${tls ? "https" : "http"}://${hostPort(host, port)}`;
}

/** `address` as a gRPC target: https://github.com/grpc/grpc/blob/master/doc/naming.md */
export function grpcTarget({ host, port }: ServerAddress): string {
  return `dns:${hostPort(host, port)}`;
}

/** Whether `host` is this machine, which no proxy leads to. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

function hostPort(host: string, port: number): string {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

function parseUrl(candidate: string, text: string): URL {
  const url = URL.parse(candidate);
  // A number alone would be read as an IPv4 address.
  const isNumber = /^\d+$/.test(text);
  const isBare =
    url?.pathname === "/" && !isNumber && !url.search && !url.hash && !url.username && !url.password;
  if (!url?.hostname || !isBare || url.port === "0") {
    throw new UsageError(`--server: "${text}" is not host:port, such as ${defaultServer}`);
  }
  return url;
}

/** `URL` drops a port that is the default of its scheme, so `host:80` has to be read here. */
function explicitPort(text: string): number | undefined {
  const digits = /:(\d+)\/?$/.exec(text)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
