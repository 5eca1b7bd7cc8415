import type { BusMessage } from "../event-bus.ts";
import type { BusConnection } from "./bus-connection.ts";
import { KeptConnection, type KeptConnectionOptions } from "./kept-connection.ts";
import { type Batch, Outbox, type OutboxEntry } from "./outbox.ts";
import { createPreviewTable, keepPreviews, removeStalePreviews } from "./preview-table.ts";
import { channel, maxPayloadBytes, writeNotice } from "./wire.ts";

export interface SenderOptions
  extends Pick<KeptConnectionOptions, "url" | "keepAliveMs" | "timeoutMs" | "logger" | "random"> {
  /** By which the notifications of this replica are known. */
  readonly name: string;
  /** Most that waits for being sent, in bytes. */
  readonly maxWaitingBytes: number;
}

/**
 * Sends messages to the other replicas. Those that come while others are under way go together, in one statement, so
 * that their number costs little. What cannot be sent is lost, and the others are told so as soon as that is possible.
 */
export class Sender implements AsyncDisposable {
  readonly #name: string;
  readonly #outbox: Outbox;
  #kept: KeptConnection | undefined;
  #isSending = false;
  #lastSending = Promise.resolve();
  #previewCount = 0;

  /** Resolves when it can send. */
  static async open(options: SenderOptions, signal: AbortSignal): Promise<Sender> {
    const sender = new Sender(options);
    sender.#kept = await KeptConnection.open(
      {
        ...options,
        purpose: "outgoing",
        keepAliveQuery: removeStalePreviews,
        async prepare(connection) {
          // A transaction that notifies is written to disk like any other; nobody has to wait for that here.
          await connection.query({ text: "SET synchronous_commit = off" });
          await createPreviewTable(connection);
        },
        onReady: () => sender.#wake(),
      },
      signal,
    );
    return sender;
  }

  private constructor({ name, maxWaitingBytes }: SenderOptions) {
    this.#name = name;
    this.#outbox = new Outbox({ maxBytes: maxWaitingBytes, maxBatch: 1_000 });
  }

  /** Never waits and never throws. */
  send(message: BusMessage): void {
    if (this.#kept?.current) {
      this.#add(message);
    } else if (message.type !== "passing") {
      this.#outbox.lose();
    }
    this.#wake();
  }

  /** Sends what still waits, if that is possible without making a new connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lastSending;
    await this.#kept?.[Symbol.asyncDispose]();
  }

  #add(message: BusMessage): void {
    const entry = this.#entryOf(message);
    if (Buffer.byteLength(entry.payload) <= maxPayloadBytes) {
      this.#outbox.add(entry);
    } else if (!entry.isPassing) {
      this.#outbox.lose();
    }
  }

  #entryOf(message: BusMessage): OutboxEntry {
    if (message.type !== "passing") {
      return { payload: writeNotice(this.#name, { type: "message", message }), isPassing: false };
    }
    const { jobId, event } = message;
    if (event.data.type !== "preview") {
      return { payload: writeNotice(this.#name, { type: "message", message }), isPassing: true };
    }
    const id = `${this.#name}-${++this.#previewCount}`;
    return {
      payload: writeNotice(this.#name, { type: "preview", jobId, id, event }),
      isPassing: true,
      preview: { jobId, id, data: event.data.data },
    };
  }

  #wake(): void {
    if (!this.#isSending) {
      this.#lastSending = this.#sendAll();
    }
  }

  async #sendAll(): Promise<void> {
    this.#isSending = true;
    try {
      for (;;) {
        const connection = this.#kept?.current;
        const batch = connection && this.#outbox.take();
        if (!batch) {
          return;
        }
        await this.#sendBatch(connection, batch);
      }
    } finally {
      this.#isSending = false;
    }
  }

  async #sendBatch(connection: BusConnection, { hasGap, payloads, previews }: Batch): Promise<void> {
    const gap = hasGap ? [writeNotice(this.#name, { type: "gap" })] : [];
    const all = [...gap, ...payloads];
    try {
      if (previews.length === 0) {
        await connection.query({ name: "notify", text: notify("$1", "$2"), values: [channel, all] });
        return;
      }
      await connection.query({
        name: "notify with previews",
        text: `WITH kept AS (${keepPreviews}) ${notify("$4", "$5")}`,
        values: [
          previews.map(({ jobId }) => jobId),
          previews.map(({ id }) => id),
          previews.map(({ data }) => data),
          channel,
          all,
        ],
      });
    } catch (error) {
      this.#outbox.lose(); // whether it has arrived is not known
      connection.abandon(error);
    }
  }
}

/** A statement that notifies a channel of texts, in their order, and returns a single row. */
function notify(channelParameter: string, payloadsParameter: string): string {
  return `SELECT count(*) FROM unnest(${payloadsParameter}::text[]) AS payload,
    LATERAL pg_notify(${channelParameter}, payload)`;
}
