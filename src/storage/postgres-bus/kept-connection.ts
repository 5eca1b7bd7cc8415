import { setTimeout as pause } from "node:timers/promises";
import { backoffMs } from "../../lib/backoff.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { BusConnection, type BusConnectionOptions } from "./bus-connection.ts";

export interface KeptConnectionOptions extends Omit<BusConnectionOptions, "applicationName"> {
  readonly url: string;
  readonly purpose: "incoming" | "outgoing";
  /** How often it is asked whether it is alive, in milliseconds. */
  readonly keepAliveMs: number;
  /** What it is asked. */
  readonly keepAliveQuery: string;
  readonly logger: Logger;
  /** A number from 0 up to, not including, 1. */
  readonly random: () => number;
  /** Makes a new connection ready for use. */
  readonly prepare: (connection: BusConnection) => Promise<void>;
  /** Told of each connection, the first included, once it is ready. */
  readonly onReady: () => void;
}

/** A connection that is made anew whenever it is lost, for as long as this lives. */
export class KeptConnection implements AsyncDisposable {
  readonly #options: KeptConnectionOptions;
  readonly #disposed = new AbortController();
  readonly #running: Promise<void>;
  #current: BusConnection | undefined;

  /** Resolves when the first connection is ready. Throws if it cannot be made. */
  static async open(options: KeptConnectionOptions, signal: AbortSignal): Promise<KeptConnection> {
    return new KeptConnection(options, await connect(options, signal));
  }

  private constructor(options: KeptConnectionOptions, first: BusConnection) {
    this.#options = options;
    this.#running = this.#run(first);
  }

  /** The connection, if there is one now. */
  get current(): BusConnection | undefined {
    return this.#current?.closed.aborted === false ? this.#current : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed.abort();
    await this.#running;
  }

  async #run(first: BusConnection): Promise<void> {
    const { logger, purpose } = this.#options;
    for (let next: BusConnection | undefined = first; next; next = await this.#reconnect()) {
      await using connection = next;
      this.#current = connection;
      this.#options.onReady();
      await this.#keepAlive(connection);
      this.#current = undefined;
      if (!this.#disposed.signal.aborted) {
        logger.warn({ err: connection.closed.reason }, `lost the connection for ${purpose} events`);
      }
    }
  }

  /** Returns when the connection is gone, or is to be given up. */
  async #keepAlive(connection: BusConnection): Promise<void> {
    const { keepAliveMs, keepAliveQuery } = this.#options;
    const over = AbortSignal.any([connection.closed, this.#disposed.signal]);
    try {
      for (;;) {
        await pause(keepAliveMs, undefined, { signal: over });
        await connection.query({ text: keepAliveQuery });
      }
    } catch (error) {
      if (!over.aborted) {
        connection.abandon(error); // the server answers, but not as it should
      }
    }
  }

  async #reconnect(): Promise<BusConnection | undefined> {
    const { logger, purpose, random } = this.#options;
    const { signal } = this.#disposed;
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        await pause(backoffMs(failures, { firstMs: 50, maxMs: 5_000, random }), undefined, { signal });
        const connection = await connect(this.#options, signal);
        logger.info(`have a connection for ${purpose} events again`);
        return connection;
      } catch (error) {
        logger.debug({ err: error }, `no connection for ${purpose} events`);
      }
    }
    return undefined;
  }
}

async function connect(options: KeptConnectionOptions, signal: AbortSignal): Promise<BusConnection> {
  const applicationName = `comfyrpc ${options.purpose} events`;
  const connection = await BusConnection.open(options.url, { ...options, applicationName }, signal);
  try {
    await options.prepare(connection);
    signal.throwIfAborted();
    return connection;
  } catch (error) {
    connection.abandon(error);
    throw error;
  }
}
