/** How to reach one ComfyUI server, and for how long to believe in it. All times are in milliseconds. */
export interface ComfyUiEngineOptions {
  /** Name of the backend, for people and logs. */
  readonly name: string;
  /** Address, `http:` or `https:`; may have a base path, as in `https://host/comfy/`. */
  readonly baseUrl: string | URL;
  /** Headers sent with every request and with the WebSocket's handshake, such as those a proxy asks for. Default: none. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Credentials for a proxy in front: ComfyUI has none. Default: user and password of `baseUrl`, if it has them. */
  readonly auth?: BackendAuth;
  readonly tls?: {
    /** Certificates in PEM that are trusted instead of the system's. Default: the system's. */
    readonly ca?: string;
  };
  /** Most connections for requests, and most for downloads, 1 or more. Default: 16. */
  readonly maxConnections?: number;
  /** Longest time to connect. Default: 2 000. */
  readonly connectTimeoutMs?: number;
  /** Longest silence while waiting for an answer or its next part. Default: 30 000. */
  readonly requestTimeoutMs?: number;
  /**
   * Time between look-ups of a prompt while its events flow. Where they do not, prompts are looked up every 250 ms,
   * or at this interval if it is shorter. Default: 2 000.
   */
  readonly pollIntervalMs?: number;
  /** How long a prompt may wait while the server runs nothing at all, before its worker counts as dead. Default: 60 000. */
  readonly pendingSilenceMs?: number;
  /**
   * How long a running prompt may be silent while no node is between two steps. Loading a model is silent for minutes.
   * Default: 600 000.
   */
  readonly loadingSilenceMs?: number;
  /**
   * How long a node may be silent between two of its steps, while other events come; if none at all come, the socket may
   * be deaf, and `loadingSilenceMs` holds. Default: 120 000.
   */
  readonly stepSilenceMs?: number;
  /** How long a prompt may run whose events cannot be had, since the socket it was submitted with is gone. Default: 1 800 000. */
  readonly unheardRunMs?: number;
  /** How long the backend may be out of reach before a prompt on it counts as lost. Default: 30 000. */
  readonly lostAfterMs?: number;
  /** How long to ask for the record of a prompt that is known to have ended. Default: 5 000. */
  readonly recordTimeoutMs?: number;
  /** Longest time to try to cancel a prompt and to wait for proof that it ended. Default: 30 000. */
  readonly cancelTimeoutMs?: number;
  /** Time between two checks of the backend's health. Default: 5 000. */
  readonly healthIntervalMs?: number;
  /** Time between two pings of the WebSocket; one that does not answer until the next is replaced. Default: 20 000. */
  readonly pingIntervalMs?: number;
}

export type BackendAuth =
  | { readonly basic: { readonly user: string; readonly password: string } }
  | { readonly bearer: string };

/** {@link ComfyUiEngineOptions} with the defaults filled in. */
export interface Settings extends Readonly<Required<Omit<ComfyUiEngineOptions, "baseUrl" | "auth" | "tls">>> {
  /** Scheme, host and port. */
  readonly origin: string;
  /** Path before `/api` and `/ws`, without a slash at its end; empty if there is none. */
  readonly basePath: string;
  readonly ca: string | undefined;
}

/**
 * Fills in the defaults.
 *
 * @throws TypeError if `baseUrl` is not an `http:` or `https:` address
 */
export function resolveOptions(options: ComfyUiEngineOptions): Settings {
  const { baseUrl, auth, tls, headers, ...given } = options;
  const url = new URL(baseUrl);
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new TypeError(`the address of backend "${options.name}" must begin with http:// or https://`);
  }
  return {
    ...defaults,
    ...given,
    origin: url.origin,
    basePath: url.pathname.replace(/\/+$/, ""),
    headers: { ...headers, ...authorization(auth ?? authOf(url)) },
    ca: tls?.ca,
  };
}

const defaults = {
  maxConnections: 16,
  connectTimeoutMs: 2_000,
  requestTimeoutMs: 30_000,
  pollIntervalMs: 2_000,
  pendingSilenceMs: 60_000,
  loadingSilenceMs: 600_000,
  stepSilenceMs: 120_000,
  unheardRunMs: 1_800_000,
  lostAfterMs: 30_000,
  recordTimeoutMs: 5_000,
  cancelTimeoutMs: 30_000,
  healthIntervalMs: 5_000,
  pingIntervalMs: 20_000,
};

function authOf({ username, password }: URL): BackendAuth | undefined {
  return username === ""
    ? undefined
    : { basic: { user: decodeURIComponent(username), password: decodeURIComponent(password) } };
}

function authorization(auth: BackendAuth | undefined): Record<string, string> {
  if (auth === undefined) {
    return {};
  }
  if ("bearer" in auth) {
    return { authorization: `Bearer ${auth.bearer}` };
  }
  const { user, password } = auth.basic;
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}` };
}
