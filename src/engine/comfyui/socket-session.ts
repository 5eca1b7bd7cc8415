import { randomUUID } from "node:crypto";
import { WebSocket } from "ws";
import { type PreviewMessage, type PromptMessage, parseBinaryFrame, parseTextFrame } from "./messages.ts";
import type { Settings } from "./options.ts";

export interface SessionEvents {
  /** The server has sent its first `status`. */
  onVerified(): void;
  onStatus(queueRemaining: number): void;
  onMessage(message: PromptMessage): void;
  onPreview(promptId: string, nodeId: string, preview: PreviewMessage): void;
  /** Called once, whether or not there was a connection. `reason` is for the log. */
  onClosed(reason: string): void;
}

/** Longest time for the handshake, and then for the server's first frame. */
const handshakeTimeoutMs = 5_000;

/** Largest frame: pictures of SaveImageWebsocket come whole. */
const maxFrameBytes = 64 * 1024 * 1024;

/**
 * One connection to ComfyUI's WebSocket, from before it is made to its end. The client id is used once: on a server
 * that still knows an older connection of the same id, a new one may stay deaf (comfyui-protocol § 2.1).
 */
export class SocketSession {
  readonly clientId: string = randomUUID();
  readonly #settings: Settings;
  readonly #events: SessionEvents;
  #state: "waiting" | "connecting" | "open" | "verified" | "closed" = "waiting";
  #frameCount = 0;
  #socket: WebSocket | undefined;
  #closeReason = "";
  #closed = Promise.withResolvers<void>();
  #timers: NodeJS.Timeout[] = [];
  /** What runs now, if it is a prompt of this session. Previews of type 1 belong to it. */
  #running: { readonly promptId: string; readonly nodeId: string } | undefined;

  constructor(settings: Settings, events: SessionEvents) {
    this.#settings = settings;
    this.#events = events;
  }

  get state(): "waiting" | "connecting" | "open" | "verified" | "closed" {
    return this.#state;
  }

  /** Number of frames received. */
  get frameCount(): number {
    return this.#frameCount;
  }

  /** Makes the connection. Nothing happens if that was done before. */
  connect(): void {
    if (this.#state !== "waiting") {
      return;
    }
    this.#state = "connecting";
    const { origin, basePath, headers, ca } = this.#settings;
    const socket = new WebSocket(`${origin.replace(/^http/, "ws")}${basePath}/ws?clientId=${this.clientId}`, {
      headers,
      perMessageDeflate: false, // pictures do not shrink
      maxPayload: maxFrameBytes,
      handshakeTimeout: handshakeTimeoutMs,
      ...(ca !== undefined && { ca }),
    });
    this.#socket = socket;
    socket.on("open", () => this.#onOpen(socket));
    socket.on("message", (data, isBinary) => this.#onFrame(data, isBinary));
    socket.on("error", (error) => {
      this.#closeReason = error.message; // "close" follows
    });
    socket.on("close", (code) => this.#onClose(code));
  }

  /** Ends the session at once. Resolves when it has ended. */
  async terminate(): Promise<void> {
    if (this.#socket === undefined) {
      return;
    }
    this.#socket.terminate();
    await this.#closed.promise;
  }

  #onOpen(socket: WebSocket): void {
    this.#state = "open";
    // Must be the first frame; without it previews do not name their prompt (comfyui-protocol § 2.2).
    socket.send(JSON.stringify({ type: "feature_flags", data: { supports_preview_metadata: true } }));
    const firstFrameTimer = setTimeout(() => {
      if (this.#state === "open") {
        this.#closeReason = "no status frame";
        socket.terminate();
      }
    }, handshakeTimeoutMs);
    this.#timers.push(firstFrameTimer, this.#keepAlive(socket));
  }

  /** ComfyUI sends no pings of its own, and proxies cut connections that are idle. */
  #keepAlive(socket: WebSocket): NodeJS.Timeout {
    let answered = true;
    socket.on("pong", () => {
      answered = true;
    });
    return setInterval(() => {
      if (!answered) {
        this.#closeReason = "no pong";
        socket.terminate();
        return;
      }
      answered = false;
      socket.ping();
    }, this.#settings.pingIntervalMs);
  }

  #onFrame(data: WebSocket.RawData, isBinary: boolean): void {
    this.#frameCount++;
    if (!Buffer.isBuffer(data)) {
      return; // only with another binaryType
    }
    if (isBinary) {
      this.#onPreview(parseBinaryFrame(data));
      return;
    }
    const message = parseTextFrame(data.toString("utf8"));
    if (message?.type === "status") {
      this.#onStatus(message.queueRemaining);
    } else if (message !== undefined) {
      this.#followRunning(message);
      this.#events.onMessage(message);
    }
  }

  #onStatus(queueRemaining: number): void {
    this.#events.onStatus(queueRemaining);
    if (this.#state === "open") {
      this.#state = "verified";
      this.#events.onVerified();
    }
  }

  #onPreview(preview: PreviewMessage | undefined): void {
    const origin = preview?.origin ?? this.#running;
    if (preview !== undefined && origin !== undefined) {
      this.#events.onPreview(origin.promptId, origin.nodeId, preview);
    }
  }

  /**
   * All frames go through one queue of the server, which runs one prompt at a time: from a prompt's `executing` to its
   * end, previews without a name are its own.
   */
  #followRunning(message: PromptMessage): void {
    switch (message.type) {
      case "executing":
        this.#running = { promptId: message.promptId, nodeId: message.nodeId };
        break;
      case "execution_start":
      case "execution_success":
      case "execution_interrupted":
      case "closed":
        this.#running = undefined;
        break;
    }
  }

  #onClose(code: number): void {
    this.#state = "closed";
    for (const timer of this.#timers) {
      clearTimeout(timer);
    }
    this.#closed.resolve();
    this.#events.onClosed(this.#closeReason || `code ${code}`);
  }
}
