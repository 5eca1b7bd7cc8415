import { randomUUID } from "node:crypto";
import type { Duplex } from "node:stream";
import { WebSocket } from "ws";
import type { Logger } from "../../telemetry/logger.ts";
import { type JsonObject, parseJson } from "./json.ts";

/** A picture on its way, with what a client that understands it is told beside. */
export interface PreviewFrame {
  readonly jpeg: Buffer;
  readonly metadata: JsonObject;
}

/** What new connections are told. */
export interface SocketHubOptions {
  /** What a client that names its features is told of the server's. */
  readonly features: JsonObject;
  /** Frames that a new connection is sent at once. */
  readonly greet: (clientId: string) => readonly JsonObject[];
  readonly logger: Logger;
}

/** A reader that is this far behind gets no previews until it has caught up, in bytes. */
const PREVIEW_BACKLOG_BYTES = 1 << 20;

/** A reader that is this far behind is let go, in bytes. */
const MOST_BACKLOG_BYTES = 64 << 20;

/**
 * The WebSocket connections, by client id. As in ComfyUI, a second connection with the same id takes the place of the
 * first without closing it, and the first one's end then takes the second out of the table.
 *
 * Unlike in ComfyUI, a reader that stops reading holds nobody up: it goes without previews, and in the end is let go.
 */
export class SocketHub {
  readonly #options: SocketHubOptions;
  readonly #clients = new Map<string, Client>();
  readonly #open = new Set<Client>();

  constructor(options: SocketHubOptions) {
    this.#options = options;
  }

  /** Takes over a connection. `wire` is what it runs on: frames of one turn of the event loop leave it together. */
  attach(socket: WebSocket, wire: Duplex, wantedId: string): void {
    const clientId = wantedId || randomUUID().replaceAll("-", "");
    const client: Client = {
      socket,
      wire,
      corked: false,
      previewMetadata: false,
      muted: false,
      heard: false,
    };
    this.#clients.set(clientId, client);
    this.#open.add(client);
    socket.on("message", (data, isBinary) => {
      if (!isBinary) {
        this.#receive(client, String(data));
      }
    });
    socket.on("error", (error) => this.#options.logger.debug({ err: error }, "socket failed"));
    socket.on("close", () => {
      this.#open.delete(client);
      this.#clients.delete(clientId);
    });
    for (const frame of this.#options.greet(clientId)) {
      this.#send(client, JSON.stringify(frame));
    }
  }

  /** Sends a text frame to one client, or to all. `frame` is called only if there is somebody to send it to. */
  send(clientId: string | undefined, frame: () => string): void {
    const receivers = this.#receivers(clientId);
    if (receivers.length > 0) {
      const text = frame();
      for (const client of receivers) {
        this.#send(client, text);
      }
    }
  }

  /** Whether a preview sent now would be seen by anybody. */
  wantsPreviews(clientId: string | undefined): boolean {
    return this.#receivers(clientId).some(canTakePreview);
  }

  /** Sends a preview, with its metadata to a client that has asked for it, without to others. */
  sendPreview(clientId: string | undefined, preview: PreviewFrame, only: "withMetadata" | "plain"): void {
    for (const client of this.#receivers(clientId)) {
      // Without a client id nobody's features are known, so nobody is sent metadata.
      const kind = clientId !== undefined && client.previewMetadata ? "withMetadata" : "plain";
      if (kind === only && canTakePreview(client)) {
        this.#send(client, kind === "withMetadata" ? frameWithMetadata(preview) : plainFrame(preview));
      }
    }
  }

  /** Cuts connections: one client's, or all. */
  drop(clientId?: string): void {
    for (const client of clientId === undefined ? [...this.#open] : this.#receivers(clientId)) {
      // What was sent before is on its way, as it would be.
      uncork(client);
      client.socket.terminate();
    }
  }

  /** Leaves connections open and sends nothing more on them: one client's, or all that are open now. */
  mute(clientId?: string): void {
    for (const client of clientId === undefined ? this.#open : this.#receivers(clientId)) {
      client.muted = true;
    }
  }

  #receivers(clientId: string | undefined): readonly Client[] {
    if (clientId === undefined) {
      return [...this.#clients.values()];
    }
    const client = this.#clients.get(clientId);
    return client ? [client] : [];
  }

  #send(client: Client, data: string | Buffer): void {
    const { socket, wire } = client;
    if (client.muted || socket.readyState !== WebSocket.OPEN) {
      return;
    }
    if (socket.bufferedAmount > MOST_BACKLOG_BYTES) {
      this.#options.logger.warn("a socket that does not read is let go");
      socket.terminate();
      return;
    }
    if (!client.corked) {
      client.corked = true;
      wire.cork();
      process.nextTick(uncork, client);
    }
    socket.send(data, { compress: false });
  }

  /** The first JSON object that a client sends may name its features; everything else is ignored. */
  #receive(client: Client, text: string): void {
    if (client.heard) {
      return;
    }
    let message: unknown;
    try {
      message = parseJson(text);
    } catch {
      // What is no JSON does not count as the first message.
      return;
    }
    client.heard = true;
    const { type, data } = asRecord(message);
    if (type === "feature_flags") {
      client.previewMetadata = asRecord(data).supports_preview_metadata === true;
      this.#send(client, JSON.stringify({ type: "feature_flags", data: this.#options.features }));
    }
  }
}

interface Client {
  readonly socket: WebSocket;
  readonly wire: Duplex;
  corked: boolean;
  previewMetadata: boolean;
  muted: boolean;
  /** Whether its first message has come. */
  heard: boolean;
}

/** Lets out the frames of this turn of the event loop. */
function uncork(client: Client): void {
  if (client.corked) {
    client.corked = false;
    client.wire.uncork();
  }
}

function canTakePreview(client: Client): boolean {
  return !client.muted && client.socket.bufferedAmount < PREVIEW_BACKLOG_BYTES;
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

const PREVIEW_IMAGE = 1;
const PREVIEW_IMAGE_WITH_METADATA = 4;
const JPEG = 1;

function plainFrame({ jpeg }: PreviewFrame): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(PREVIEW_IMAGE, 0);
  head.writeUInt32BE(JPEG, 4);
  return Buffer.concat([head, jpeg]);
}

function frameWithMetadata({ jpeg, metadata }: PreviewFrame): Buffer {
  const json = Buffer.from(JSON.stringify({ ...metadata, image_type: "image/jpeg" }));
  const head = Buffer.alloc(8);
  head.writeUInt32BE(PREVIEW_IMAGE_WITH_METADATA, 0);
  head.writeUInt32BE(json.length, 4);
  return Buffer.concat([head, json, jpeg]);
}
