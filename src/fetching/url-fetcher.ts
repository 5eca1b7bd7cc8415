/** Fetches files from elsewhere. */
export interface UrlFetcher {
  /**
   * The bytes at a URL, in order, as they come. How many are taken is for the reader to bound: leaving the loop early, or
   * aborting `signal`, ends the request.
   *
   * @throws ServiceError `INVALID_FIELD` if it is no URL that is fetched from; `INPUT_UNREACHABLE` if there is nothing to
   * be had, or not in time. Neither tells anything of networks that callers cannot see themselves.
   */
  fetch(url: string, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

/** What may be fetched. */
export interface FetchLimits {
  /** Whether plain `http` will do; `https` always does. */
  readonly allowHttp: boolean;
  /** Hosts to fetch from: a name, or `*.` and a name for every host below it. Empty: any. */
  readonly hosts: readonly string[];
  /** Longest time for all of a fetch, redirects included, in milliseconds. */
  readonly timeoutMs: number;
  /** Most redirects that are followed. */
  readonly maxRedirects: number;
}
