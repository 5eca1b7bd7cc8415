import { ServiceError } from "../domain/errors.ts";
import type { FetchLimits } from "./url-fetcher.ts";

export interface UrlRules extends Pick<FetchLimits, "allowHttp" | "hosts"> {
  /** Ports that may be connected to. */
  readonly ports: readonly number[];
}

/**
 * Reads a URL that is to be fetched, without its fragment.
 *
 * @throws ServiceError `INVALID_FIELD` that says what would do
 */
export function parseFetchableUrl(text: string, rules: UrlRules): URL {
  const url = URL.parse(text);
  const problem = url === null ? notHttp(rules) : problemOf(url, rules);
  if (url === null || problem !== undefined) {
    throw new ServiceError("INVALID_FIELD", problem ?? notHttp(rules));
  }
  url.hash = "";
  return url;
}

function problemOf(url: URL, rules: UrlRules): string | undefined {
  const { allowHttp, hosts, ports } = rules;
  if (url.protocol !== "https:" && !(allowHttp && url.protocol === "http:")) {
    return notHttp(rules);
  }
  if (url.username !== "" || url.password !== "") {
    return "the URL must have no user name and no password";
  }
  if (!ports.includes(portOf(url))) {
    return `the URL must have no port, or ${ports.join(" or ")}`;
  }
  if (hosts.length > 0 && !hosts.some((pattern) => fits(url.hostname, pattern))) {
    return "this server fetches images from certain hosts only, and this is none of them; upload the image and name the asset";
  }
  return undefined;
}

function notHttp({ allowHttp }: UrlRules): string {
  return `the URL must be a whole one of ${allowHttp ? "https or http" : "https"}, with a host`;
}

function portOf({ port, protocol }: URL): number {
  return port === "" ? (protocol === "https:" ? 443 : 80) : Number(port);
}

function fits(hostname: string, pattern: string): boolean {
  const host = hostname.replace(/\.$/, "");
  return pattern.startsWith("*.") ? host.endsWith(pattern.slice(1)) : host === pattern;
}
