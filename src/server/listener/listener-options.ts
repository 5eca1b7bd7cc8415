import type { Logger } from "../../telemetry/logger.ts";
import type { HttpHandler } from "./http-handler.ts";

/** How and where to listen. Limits that are left out get their defaults. */
export interface ListenerOptions extends Partial<ListenerLimits> {
  /** Address or name of the interface: `127.0.0.1` for this machine only, `0.0.0.0` or `::` for all. */
  readonly host: string;
  /** TCP port, 0 to 65 535. 0 lets the system choose; see `Listener.port`. */
  readonly port: number;
  /** With it the port speaks TLS, and HTTP/2 or HTTP/1.1 by ALPN; without it plaintext, told apart by the HTTP/2 preface. */
  readonly tls?: TlsIdentity;
  /** Answers the requests. */
  readonly handler: HttpHandler;
  /**
   * Aborted, with a ConnectError `UNAVAILABLE`, when the grace time of a drain is over and calls still run. Its signal
   * is the `shutdownSignal` of the RPC handler.
   */
  readonly shutdown: AbortController;
  /** Told which connections and calls were ended by a limit, at level `debug` or `warn`. */
  readonly logger: Logger;
}

/** What the server proves its name with. TLS 1.2 and newer are spoken. */
export interface TlsIdentity {
  /** Certificate chain, PEM. */
  readonly certificate: string;
  /** Private key of the first certificate, PEM, not encrypted. */
  readonly privateKey: string;
}

/** Bounds on what a client may take. Milliseconds are whole numbers, at most 2 147 483 647. */
export interface ListenerLimits {
  /** Open connections; more are closed at once. Default: 10 000. Range: from 1. */
  readonly maxConnections: number;
  /**
   * Longest wait, in milliseconds, until a new connection has shown which version of HTTP it speaks, or has ended its
   * TLS handshake. Default: 10 000. Range: from 1.
   */
  readonly sniffTimeoutMs: number;
  /**
   * Longest wait, in milliseconds, for the head of an HTTP/1.1 request, counted from its first byte; and for the first
   * request of an HTTP/2 connection, counted from its opening. Default: 30 000. Range: from 1.
   */
  readonly headersTimeoutMs: number;
  /**
   * Longest wait, in milliseconds, for a whole request: of HTTP/1.1 counted from its first byte; of HTTP/2 from the last
   * byte that went either way, so that long uploads and two-way streams go on as long as something happens.
   * Default: 300 000. Range: from 1.
   */
  readonly requestTimeoutMs: number;
  /** Longest pause between two requests of an HTTP/1.1 connection, in milliseconds. Default: 60 000. Range: from 1. */
  readonly idleTimeoutMs: number;
  /** Largest head of a request, in bytes as HTTP/2 counts them. Default: 16 384. Range: 1 024 to 1 048 576. */
  readonly maxHeaderBytes: number;
  /** Calls at once on one HTTP/2 connection. Default: 256. Range: from 1. */
  readonly maxConcurrentStreams: number;
  /**
   * Bytes that a client may send ahead on one HTTP/2 stream. A connection as a whole gets sixteen times as much, so that
   * one call that is not read does not stop the others. Default: 1 048 576. Range: 65 535 to 16 777 216.
   */
  readonly streamWindowBytes: number;
  /**
   * Memory that one HTTP/2 connection may hold, in units of 1 000 000 bytes; beyond it, new calls on it are refused.
   * Default: 1 000. Range: from 10.
   */
  readonly maxSessionMemoryMb: number;
  /** Time between two pings on an HTTP/2 connection, in milliseconds. Default: 30 000. Range: from 1. */
  readonly pingIntervalMs: number;
  /** Longest wait for the answer to a ping, in milliseconds; then the connection is closed. Default: 10 000. Range: from 1. */
  readonly pingTimeoutMs: number;
  /**
   * Age, in milliseconds and give or take a tenth, at which an HTTP/2 connection takes no new calls, so that clients
   * spread over the servers behind a load balancer. Running calls go on. Default: 3 600 000. Range: from 1.
   */
  readonly maxSessionAgeMs: number;
  /**
   * Longest time, in milliseconds, for which a client may read nothing of an answer that waits for it; then the call is
   * cut off. Seen up to a quarter later. Default: 120 000. Range: from 4.
   */
  readonly stalledStreamTimeoutMs: number;
}

/**
 * Fills in the defaults.
 *
 * @throws RangeError that names the first limit which is out of range
 */
export function resolveLimits(limits: Partial<ListenerLimits>): ListenerLimits {
  const resolve = (name: keyof ListenerLimits): number => {
    const [fallback, min, max] = ranges[name];
    const value = limits[name] ?? fallback;
    if (!Number.isInteger(value) || value < min || value > max) {
      throw new RangeError(`${name} must be a whole number from ${min} to ${max}, not ${value}`);
    }
    return value;
  };
  return {
    maxConnections: resolve("maxConnections"),
    sniffTimeoutMs: resolve("sniffTimeoutMs"),
    headersTimeoutMs: resolve("headersTimeoutMs"),
    requestTimeoutMs: resolve("requestTimeoutMs"),
    idleTimeoutMs: resolve("idleTimeoutMs"),
    maxHeaderBytes: resolve("maxHeaderBytes"),
    maxConcurrentStreams: resolve("maxConcurrentStreams"),
    streamWindowBytes: resolve("streamWindowBytes"),
    maxSessionMemoryMb: resolve("maxSessionMemoryMb"),
    pingIntervalMs: resolve("pingIntervalMs"),
    pingTimeoutMs: resolve("pingTimeoutMs"),
    maxSessionAgeMs: resolve("maxSessionAgeMs"),
    stalledStreamTimeoutMs: resolve("stalledStreamTimeoutMs"),
  };
}

/** Beyond this Node's timers fire at once. */
const longestTimerMs = 2 ** 31 - 1;

/** Default, smallest and largest value of each limit. */
const ranges: Record<keyof ListenerLimits, readonly [number, number, number]> = {
  maxConnections: [10_000, 1, 2 ** 31 - 1],
  sniffTimeoutMs: [10_000, 1, longestTimerMs],
  headersTimeoutMs: [30_000, 1, longestTimerMs],
  requestTimeoutMs: [300_000, 1, longestTimerMs],
  idleTimeoutMs: [60_000, 1, longestTimerMs],
  maxHeaderBytes: [16_384, 1_024, 1_048_576],
  maxConcurrentStreams: [256, 1, 2 ** 31 - 1],
  streamWindowBytes: [1_048_576, 65_535, 16_777_216],
  maxSessionMemoryMb: [1_000, 10, 1_000_000],
  pingIntervalMs: [30_000, 1, longestTimerMs],
  pingTimeoutMs: [10_000, 1, longestTimerMs],
  maxSessionAgeMs: [3_600_000, 1, longestTimerMs],
  stalledStreamTimeoutMs: [120_000, 4, longestTimerMs],
};
