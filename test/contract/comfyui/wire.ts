import { EventEmitter, once } from "node:events";
import { type Agent, fetch, type Headers, type RequestInit } from "undici";
import WebSocket from "ws";
import type { z } from "zod";
import { type PreviewMetadata, previewMetadata, type ServerEvent, serverEvent } from "./messages.ts";

/** Longest wait for one answer or one frame, in milliseconds. A real server may load its model in that time. */
export const WAIT_MS = 60_000;

/** A whole HTTP answer. */
export class Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;

  constructor(status: number, headers: Headers, body: Buffer) {
    this.status = status;
    this.headers = headers;
    this.body = body;
  }

  get isJson(): boolean {
    return this.headers.get("content-type")?.startsWith("application/json") ?? false;
  }

  get text(): string {
    return this.body.toString("utf8");
  }

  /** Reads the body as JSON of the given shape; throws with the body in the message if it is not. */
  json<T>(schema: z.ZodType<T>): T {
    if (!this.isJson) throw new Error(`not JSON: ${this.status} ${this.text}`);
    const parsed = schema.safeParse(JSON.parse(this.text));
    if (parsed.success) return parsed.data;
    throw new Error(`unexpected body: ${this.status} ${this.text}`, { cause: parsed.error });
  }
}

/** The HTTP side of a ComfyUI server, path by path and without any interpretation. */
export class ComfyHttp {
  readonly #baseUrl: string;
  readonly #dispatcher: Agent;

  constructor(baseUrl: string, dispatcher: Agent) {
    this.#baseUrl = baseUrl;
    this.#dispatcher = dispatcher;
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Reply> {
    return this.#request(path, { headers });
  }

  head(path: string): Promise<Reply> {
    return this.#request(path, { method: "HEAD" });
  }

  /** Posts JSON; a string is sent as it is, so that a test can write what `JSON.stringify` cannot. */
  post(path: string, body: object | string): Promise<Reply> {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    return this.#request(path, {
      method: "POST",
      body: text,
      headers: { "content-type": "application/json" },
    });
  }

  postForm(path: string, body: NonNullable<RequestInit["body"]>): Promise<Reply> {
    return this.#request(path, { method: "POST", body });
  }

  async #request(path: string, init: RequestInit): Promise<Reply> {
    const signal = AbortSignal.timeout(WAIT_MS);
    const response = await fetch(this.#baseUrl + path, { ...init, dispatcher: this.#dispatcher, signal });
    return new Reply(response.status, response.headers, Buffer.from(await response.arrayBuffer()));
  }
}

/** A binary frame that carries an image: type 1 says nothing of where it comes from, type 4 does (protocol 2.6). */
export interface PreviewFrame {
  type: "preview";
  binaryType: 1 | 4;
  imageType: "image/jpeg" | "image/png";
  image: Buffer;
  metadata: PreviewMetadata | undefined;
}

/** A frame of a type that this suite does not know; custom nodes and new releases may send such (protocol 2.4). */
interface UnknownFrame {
  type: "unknown";
  name: string;
}

export type Frame = ServerEvent | PreviewFrame | UnknownFrame;
export type FrameOf<T extends Frame["type"]> = Extract<Frame, { type: T }>;

export interface SocketOptions {
  /** Session id to ask for; `undefined` lets the server choose one. */
  clientId: string | undefined;
  /** Whether to negotiate previews that carry metadata (protocol 2.2). */
  previewMetadata: boolean;
}

/** One WebSocket connection that keeps every frame it received, in order. */
export class ComfySocket implements AsyncDisposable {
  readonly frames: Frame[] = [];
  readonly #socket: WebSocket;
  readonly #changes = new EventEmitter();
  /** Why nothing more can be expected of this connection. */
  #failure: Error | undefined;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (data: Buffer, isBinary) => this.#receive(data, isBinary));
    socket.on("close", (code) => this.#fail(new Error(`the server closed the socket (${code})`)));
    socket.on("error", (error) => this.#fail(error));
  }

  /** Connects, and returns once the first frame and, if negotiated, the answer to the handshake have come. */
  static async open(baseUrl: string, options: SocketOptions): Promise<ComfySocket> {
    const url = new URL("/ws", baseUrl.replace(/^http/, "ws"));
    if (options.clientId !== undefined) url.searchParams.set("clientId", options.clientId);
    const connection = new WebSocket(url, { perMessageDeflate: false, maxPayload: 64 * 1024 * 1024 });
    const socket = new ComfySocket(connection);
    await once(connection, "open", { signal: AbortSignal.timeout(WAIT_MS) });
    await socket.when("status");
    if (options.previewMetadata) await socket.#negotiatePreviewMetadata();
    return socket;
  }

  /** The session id that the server gave to this connection. */
  get clientId(): string {
    const first = this.frames[0];
    if (first?.type !== "status" || !first.data.sid) throw new Error("the first frame carries no session id");
    return first.data.sid;
  }

  /** Pings, and returns once the pong is there. */
  async ping(): Promise<void> {
    const pong = once(this.#socket, "pong", { signal: AbortSignal.timeout(WAIT_MS) });
    this.#socket.ping();
    await pong;
  }

  /**
   * Resolves with the first frame of that type, received already or still to come, that satisfies `matches`.
   * Frames before index `from` are not looked at. Rejects after `WAIT_MS`, when the socket closes, and when a frame of
   * unexpected shape has come.
   */
  async when<T extends Frame["type"]>(
    type: T,
    matches: (frame: FrameOf<T>) => boolean = () => true,
    from = 0,
  ): Promise<FrameOf<T>> {
    const signal = AbortSignal.timeout(WAIT_MS);
    for (let index = from; ; index++) {
      while (index >= this.frames.length) await this.#nextChange(type, signal);
      const frame = this.frames[index];
      if (frame && isOfType(frame, type) && matches(frame)) return frame;
    }
  }

  /**
   * Resolves with `executing: null`, which closes a prompt however it ended (protocol 2.5); with the n-th one of them
   * if the same id was submitted `times` times.
   */
  whenEnded(promptId: string, times = 1): Promise<FrameOf<"executing">> {
    let seen = 0;
    return this.when("executing", ({ data }) => {
      if (data.node === null && data.prompt_id === promptId) seen++;
      return seen === times;
    });
  }

  /** All frames so far that name this prompt, in order. */
  framesOf(promptId: string): Frame[] {
    return this.frames.filter((frame) => promptIdOf(frame) === promptId);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#socket.readyState === WebSocket.CLOSED) return;
    const closed = once(this.#socket, "close");
    this.#socket.terminate();
    await closed;
  }

  async #negotiatePreviewMetadata(): Promise<void> {
    const handshake = { type: "feature_flags", data: { supports_preview_metadata: true } };
    this.#socket.send(JSON.stringify(handshake));
    await this.when("feature_flags");
  }

  #receive(data: Buffer, isBinary: boolean): void {
    try {
      this.frames.push(isBinary ? parseBinaryFrame(data) : parseTextFrame(data.toString("utf8")));
      this.#changes.emit("change");
    } catch (error) {
      this.#fail(new Error("received a frame of unexpected shape", { cause: error }));
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#changes.emit("change");
  }

  async #nextChange(awaited: string, signal: AbortSignal): Promise<void> {
    try {
      if (!this.#failure) await once(this.#changes, "change", { signal });
      if (this.#failure) throw this.#failure;
    } catch (error) {
      const seen = this.frames.map((frame) => frame.type).join(" ");
      throw new Error(`no ${awaited} frame came; received so far: ${seen}`, { cause: error });
    }
  }
}

/** The frames of one type, in order. */
export function ofType<T extends Frame["type"]>(frames: readonly Frame[], type: T): FrameOf<T>[] {
  return frames.filter((frame) => isOfType(frame, type));
}

function isOfType<T extends Frame["type"]>(frame: Frame, type: T): frame is FrameOf<T> {
  return frame.type === type;
}

function promptIdOf(frame: Frame): string | undefined {
  if (frame.type === "unknown") return undefined;
  if (frame.type === "preview") return frame.metadata?.prompt_id;
  return "prompt_id" in frame.data && typeof frame.data.prompt_id === "string"
    ? frame.data.prompt_id
    : undefined;
}

const knownTypes: ReadonlySet<unknown> = new Set(
  serverEvent.options.map((option) => option.shape.type.value),
);

function parseTextFrame(text: string): Frame {
  const message: unknown = JSON.parse(text);
  const name =
    typeof message === "object" && message !== null && "type" in message ? message.type : undefined;
  return knownTypes.has(name) ? serverEvent.parse(message) : { type: "unknown", name: String(name) };
}

function parseBinaryFrame(data: Buffer): Frame {
  const binaryType = data.readUInt32BE(0);
  if (binaryType === 1) return parsePreview(data);
  if (binaryType === 4) return parsePreviewWithMetadata(data);
  return { type: "unknown", name: `binary ${binaryType}` };
}

function parsePreview(data: Buffer): PreviewFrame {
  const imageType = data.readUInt32BE(4) === 1 ? "image/jpeg" : "image/png";
  return { type: "preview", binaryType: 1, imageType, image: data.subarray(8), metadata: undefined };
}

function parsePreviewWithMetadata(data: Buffer): PreviewFrame {
  const end = 8 + data.readUInt32BE(4);
  const metadata = previewMetadata.parse(JSON.parse(data.toString("utf8", 8, end)));
  return {
    type: "preview",
    binaryType: 4,
    imageType: metadata.image_type,
    image: data.subarray(end),
    metadata,
  };
}
