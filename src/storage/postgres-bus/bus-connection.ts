import { Socket } from "node:net";
import { Client } from "pg";

export interface BusConnectionOptions {
  /** What it is for, as the database's operators see it. */
  readonly applicationName: string;
  /** Longest wait for being connected, and for the answer to a query, in milliseconds. */
  readonly timeoutMs: number;
  /** Told the payload of each notification, in the order in which they were sent. */
  readonly onNotification?: (channel: string, payload: string) => void;
}

export interface BusQuery {
  readonly text: string;
  readonly values?: readonly unknown[];
  /** Under which the server keeps the statement prepared. */
  readonly name?: string;
}

/**
 * One connection to PostgreSQL, which is given up as soon as it does not answer in time: a peer that has vanished
 * without a word would otherwise be waited for as long as the system's own timeouts are, a quarter of an hour.
 */
export class BusConnection implements AsyncDisposable {
  readonly #client: Client;
  readonly #socket: Socket;
  readonly #timeoutMs: number;
  readonly #closed = new AbortController();
  #lastQuery: Promise<unknown> = Promise.resolve();

  /** Connects. */
  static async open(url: string, options: BusConnectionOptions, signal: AbortSignal): Promise<BusConnection> {
    signal.throwIfAborted();
    const connection = new BusConnection(url, options);
    const giveUp = () => connection.abandon(signal.reason);
    signal.addEventListener("abort", giveUp, { once: true });
    try {
      await connection.#client.connect();
      return connection;
    } catch (error) {
      connection.abandon(error);
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
  }

  private constructor(url: string, { applicationName, timeoutMs, onNotification }: BusConnectionOptions) {
    this.#timeoutMs = timeoutMs;
    this.#socket = new Socket();
    this.#client = new Client({
      connectionString: url,
      stream: () => this.#socket, // ours, as pg has no public way to cut a connection off
      connectionTimeoutMillis: timeoutMs,
      keepAlive: true,
      application_name: applicationName,
    });
    this.#client.on("error", (error) => this.abandon(error));
    this.#client.on("end", () => this.abandon(new Error("the database closed the connection")));
    this.#client.on("notification", ({ channel, payload }) => onNotification?.(channel, payload ?? ""));
  }

  /** Aborted when the connection is gone, with the reason. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  /** Runs a query after those before it, and returns its rows. Never waits for a server that does not answer. */
  query(query: BusQuery): Promise<readonly unknown[]> {
    const rows = this.#lastQuery.then(() => this.#run(query));
    this.#lastQuery = rows.catch(() => {}); // the caller's to handle
    return rows;
  }

  /** Cuts the connection off without ceremony. */
  abandon(reason: unknown): void {
    this.#closed.abort(reason);
    this.#socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.closed.aborted) {
      return;
    }
    const timer = setTimeout(() => this.abandon(new Error("the database did not say goodbye")), farewellMs);
    try {
      await this.#client.end();
    } finally {
      clearTimeout(timer);
    }
  }

  async #run({ text, values = [], name }: BusQuery): Promise<readonly unknown[]> {
    this.closed.throwIfAborted();
    const timer = setTimeout(
      () => this.abandon(new Error(`the database did not answer in ${this.#timeoutMs} ms`)),
      this.#timeoutMs,
    );
    try {
      const { rows } = await this.#client.query({ text, values: [...values], ...(name && { name }) });
      return rows;
    } catch (error) {
      this.closed.throwIfAborted(); // its reason says more than "terminated"
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Longest wait for the end of a connection that we close, in milliseconds. */
const farewellMs = 1_000;
