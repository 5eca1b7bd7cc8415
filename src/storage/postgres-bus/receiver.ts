import type { PassingEvent } from "../../domain/job-event.ts";
import type { BusSubscribers } from "../bus-subscribers.ts";
import type { BusMessage } from "../event-bus.ts";
import { KeptConnection, type KeptConnectionOptions } from "./kept-connection.ts";
import { readPreview } from "./preview-table.ts";
import { channel, type Notice, readNotice } from "./wire.ts";

export interface ReceiverOptions
  extends Pick<KeptConnectionOptions, "url" | "keepAliveMs" | "timeoutMs" | "logger" | "random"> {
  /** By which the notifications of this replica are known. */
  readonly name: string;
  readonly subscribers: BusSubscribers;
}

/** Passes on what other replicas send. After each time that it was deaf, all subscribers are told of a gap. */
export class Receiver implements AsyncDisposable {
  readonly #options: ReceiverOptions;
  /** For each job of which a preview is being read: what has come after it. */
  readonly #behindPreviews = new Map<string, Notice[]>();
  #kept: KeptConnection | undefined;

  /** Resolves when nothing that is sent from now on can be missed. */
  static async open(options: ReceiverOptions, signal: AbortSignal): Promise<Receiver> {
    const receiver = new Receiver(options);
    receiver.#kept = await KeptConnection.open(
      {
        ...options,
        purpose: "incoming",
        keepAliveQuery: "SELECT 1",
        onNotification: (_, payload) => receiver.#onNotification(payload),
        async prepare(connection) {
          await connection.query({ text: `LISTEN ${channel}` });
        },
        onReady: () => options.subscribers.gap(),
      },
      signal,
    );
    return receiver;
  }

  private constructor(options: ReceiverOptions) {
    this.#options = options;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#behindPreviews.clear();
    await this.#kept?.[Symbol.asyncDispose]();
  }

  #onNotification(payload: string): void {
    const notice = readNotice(payload, this.#options.name);
    if (notice) {
      this.#receive(notice);
    }
  }

  #receive(notice: Notice): void {
    const { subscribers } = this.#options;
    switch (notice.type) {
      case "gap":
        subscribers.gap();
        break;
      case "message":
        this.#receiveMessage(notice.message);
        break;
      case "preview":
        if (subscribers.has(notice.jobId)) {
          this.#receivePreview(notice);
        }
        break;
    }
  }

  #receiveMessage(message: BusMessage): void {
    const waiting = "jobId" in message && this.#behindPreviews.get(message.jobId);
    if (!waiting) {
      this.#options.subscribers.deliver(message);
    } else if (message.type === "passing") {
      waiting.push({ type: "message", message });
    } else {
      // What lasts waits for no preview, which is of no use after it.
      this.#behindPreviews.delete(message.jobId);
      this.#release(waiting.filter(({ type }) => type === "message"));
      this.#options.subscribers.deliver(message);
    }
  }

  #receivePreview(notice: Extract<Notice, { type: "preview" }>): void {
    const waiting = this.#behindPreviews.get(notice.jobId);
    if (waiting) {
      waiting.push(notice);
      return;
    }
    const behind: Notice[] = [];
    this.#behindPreviews.set(notice.jobId, behind);
    void this.#readPreview(notice).then((event) => {
      if (this.#behindPreviews.get(notice.jobId) !== behind) {
        return; // overtaken by something that lasts
      }
      this.#behindPreviews.delete(notice.jobId);
      if (event) {
        this.#options.subscribers.deliver({ type: "passing", jobId: notice.jobId, event });
      }
      this.#release(behind);
    });
  }

  async #readPreview({
    jobId,
    id,
    event,
  }: Extract<Notice, { type: "preview" }>): Promise<PassingEvent | undefined> {
    try {
      const connection = this.#kept?.current;
      const data = connection && (await readPreview(connection, jobId, id));
      return data && event.data.type === "preview" ? { ...event, data: { ...event.data, data } } : undefined;
    } catch (error) {
      this.#options.logger.debug({ err: error, jobId }, "a preview could not be read");
      return undefined;
    }
  }

  #release(notices: readonly Notice[]): void {
    for (const notice of notices) {
      this.#receive(notice);
    }
  }
}
