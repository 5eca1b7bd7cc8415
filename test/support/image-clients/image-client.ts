/** A JSON object. */
export type Json = Readonly<Record<string, unknown>>;

/** What a call may have beside its request. */
export interface CallOptions {
  /** Deadline, in milliseconds from now; the service is told. Default: none. */
  readonly timeoutMs?: number;
}

/**
 * `comfyrpc.v1.ImageService` as one client sees it, so that the same test can be done with all of them. Messages are
 * JSON as protobuf defines it (64-bit numbers are strings, bytes are base64, default values may be left out), whatever
 * the client makes of them inside.
 *
 * Aborting `signal` does what leaves a call half-way with this client: cancels it, or kills the process. Calls that
 * fail throw a {@link CallError}; those that were left, anything.
 */
export interface ImageClient extends AsyncDisposable {
  generate(spec: Json, options: CallOptions, signal: AbortSignal): Promise<unknown>;
  generateWithProgress(spec: Json, options: CallOptions, signal: AbortSignal): AsyncIterable<unknown>;
  health(signal: AbortSignal): Promise<unknown>;
}

/** A kind of client. */
export interface ImageClientKind {
  readonly name: string;
  /** @param url address of the service, such as `http://127.0.0.1:8080` */
  open(url: string): Promise<ImageClient>;
}

/** How a call failed, read in the way of the client. */
export class CallError extends Error {
  override readonly name = "CallError";
  /** In the spelling of gRPC, in lower case: `invalid_argument`, `cancelled`. */
  readonly code: string;
  /** Details of the status as JSON, by the full name of their type. */
  readonly details: ReadonlyMap<string, unknown>;

  constructor(code: string, message: string, details: ReadonlyMap<string, unknown>) {
    super(message);
    this.code = code === "canceled" ? "cancelled" : code;
    this.details = details;
  }
}

/** How a call failed that must fail with a status; fails otherwise. */
export async function failureOf(call: Promise<unknown>): Promise<CallError> {
  const outcome = await call.catch((error: unknown) => error);
  if (outcome instanceof CallError) return outcome;
  throw new Error("the call did not fail with a status", { cause: outcome });
}

/** Full name of the service. */
export const imageService = "comfyrpc.v1.ImageService";
