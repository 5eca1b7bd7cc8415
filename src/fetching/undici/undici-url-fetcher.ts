import { Agent, type Dispatcher } from "undici";
import { isServiceError, ServiceError } from "../../domain/errors.ts";
import { parseFetchableUrl } from "../fetchable-url.ts";
import { isPublicAddress } from "../public-address.ts";
import type { FetchLimits, UrlFetcher } from "../url-fetcher.ts";
import {
  createGuardedConnector,
  type GuardDependencies,
  NoAllowedAddressError,
} from "./guarded-connector.ts";
import { resolveName } from "./resolve-name.ts";

export interface UrlFetcherDependencies extends Partial<GuardDependencies> {
  /** Ports that may be connected to. Default: those of the protocols, 443 and 80. */
  readonly ports?: readonly number[];
}

/**
 * Makes a fetcher of files from the public internet. Each fetch has connections of its own, so that nothing is left of it;
 * it sends no credentials, and follows redirects by the same rules as the URL itself.
 *
 * @param deps for tests; by default names are resolved by the system's name servers, and public addresses allowed
 */
export function createUndiciUrlFetcher(limits: FetchLimits, deps: UrlFetcherDependencies = {}): UrlFetcher {
  return new UndiciUrlFetcher(limits, deps);
}

type Answer = Dispatcher.ResponseData;

class UndiciUrlFetcher implements UrlFetcher {
  readonly #limits: FetchLimits;
  readonly #ports: readonly number[];
  readonly #guard: GuardDependencies;

  constructor(limits: FetchLimits, { ports = [443, 80], ...guard }: UrlFetcherDependencies) {
    this.#limits = limits;
    this.#ports = ports;
    this.#guard = { resolve: resolveName, isAllowed: isPublicAddress, ...guard };
  }

  async *fetch(text: string, signal: AbortSignal): AsyncGenerator<Uint8Array, void, void> {
    const url = this.#parse(text);
    const tooLate = AbortSignal.timeout(this.#limits.timeoutMs);
    const abort = AbortSignal.any([signal, tooLate]);
    const agent = new Agent({ connect: createGuardedConnector(this.#guard, abort) });
    try {
      const { body } = await this.#follow(url, agent, abort);
      yield* body;
    } catch (error) {
      signal.throwIfAborted();
      if (isServiceError(error)) {
        throw error;
      }
      throw tooLate.aborted
        ? unreachable(`it did not come within ${this.#limits.timeoutMs / 1_000} s`, error)
        : notFetched(error);
    } finally {
      await agent.destroy();
    }
  }

  /** The answer at the end of all redirects. */
  async #follow(url: URL, agent: Agent, abort: AbortSignal): Promise<Answer> {
    let next = url;
    for (let redirects = 0; ; redirects++) {
      const answer = await agent.request({
        origin: next.origin,
        path: next.pathname + next.search,
        method: "GET",
        headers: { accept: "image/*", "user-agent": "comfyrpc" },
        signal: abort,
      });
      if (answer.statusCode === 200) {
        return answer;
      }
      answer.body.on("error", () => {}).destroy(); // of no interest
      const location = redirectStatuses.has(answer.statusCode) ? answer.headers.location : undefined;
      if (typeof location !== "string") {
        throw unreachable(`it answered with HTTP ${answer.statusCode}`);
      }
      if (redirects >= this.#limits.maxRedirects) {
        throw unreachable("it redirects too often; give the address where the image is in the end");
      }
      next = this.#redirected(next, location);
    }
  }

  #redirected(from: URL, location: string): URL {
    const url = URL.parse(location, from);
    try {
      return this.#parse(url?.href ?? "");
    } catch (error) {
      throw unreachable("it redirects to an address that this server does not fetch from", error);
    }
  }

  #parse(text: string): URL {
    const { allowHttp, hosts } = this.#limits;
    return parseFetchableUrl(text, { allowHttp, hosts, ports: this.#ports });
  }
}

const redirectStatuses: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** Who may not be connected to must look like one that is not there: else names of inner networks could be guessed. */
function notFetched(error: unknown): ServiceError {
  return error instanceof NoAllowedAddressError
    ? unreachable("its host has no public address", error)
    : unreachable("the connection failed or broke off", error);
}

function unreachable(why: string, cause?: unknown): ServiceError {
  return new ServiceError("INPUT_UNREACHABLE", `the image could not be fetched: ${why}`, {}, { cause });
}
