import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { WebSocket } from "ws";
import { createLogger } from "../../../telemetry/logger.ts";
import { type DemoEngine, type DemoEngineOptions, startDemoEngine } from "../demo-engine.ts";
import { parseJson, stringifyJson } from "../json.ts";

/** Longest wait of a test, in milliseconds. */
export const PATIENCE_MS = 10_000;

/** Starts an engine whose steps and loading take no time, unless the test says otherwise. */
export function startTestEngine(options: Partial<DemoEngineOptions> = {}): Promise<DemoEngine> {
  return startDemoEngine({ stepMs: 0, logger: createLogger({ level: "silent" }), ...options });
}

/** Value at a path of keys and indices within parsed JSON; `undefined` if there is none. */
export function at(value: unknown, ...path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>(
    (inner, key) => (typeof inner === "object" && inner !== null ? Reflect.get(inner, key) : undefined),
    value,
  );
}

/** An answer to a request. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
  /** The parsed body; `undefined` if it is no JSON. */
  readonly json: unknown;
}

/** What differs between the graphs of tests. */
export interface GraphOptions {
  readonly text?: string;
  readonly seed?: number | bigint;
  readonly size?: number;
  readonly steps?: number;
  readonly prefix?: string;
}

/** A small text-to-image graph; the sampler is node 3, the output node 9. */
export function txt2img(options: GraphOptions = {}) {
  const { text = "a red fox in the snow", seed = 1, size = 64, steps = 3, prefix = "test" } = options;
  return {
    "4": { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: "demo-sd15.safetensors" } },
    "5": { class_type: "EmptyLatentImage", inputs: { width: size, height: size, batch_size: 1 } },
    "6": { class_type: "CLIPTextEncode", inputs: { text, clip: ["4", 1] } },
    "7": { class_type: "CLIPTextEncode", inputs: { text: "", clip: ["4", 1] } },
    "3": {
      class_type: "KSampler",
      inputs: {
        model: ["4", 0],
        positive: ["6", 0],
        negative: ["7", 0],
        latent_image: ["5", 0],
        seed,
        steps,
        cfg: 7,
        sampler_name: "euler",
        scheduler: "normal",
        denoise: 1,
      },
    },
    "8": { class_type: "VAEDecode", inputs: { samples: ["3", 0], vae: ["4", 2] } },
    "9": { class_type: "SaveImage", inputs: { images: ["8", 0], filename_prefix: prefix } },
  };
}

/** A frame that has come over the WebSocket. */
export type Frame = { readonly type: string; readonly data: unknown } | { readonly binary: Buffer };

/** A client with one WebSocket. Its requests go over connections of their own. */
export class TestClient implements AsyncDisposable {
  readonly id = randomUUID();
  readonly frames: Frame[] = [];
  readonly socket: WebSocket;
  readonly #url: string;
  #changed = Promise.withResolvers<void>();

  private constructor(url: string) {
    this.#url = url;
    this.socket = new WebSocket(`${url.replace("http", "ws")}/ws?clientId=${this.id}`);
    this.socket.on("message", (data, isBinary) => {
      const bytes = Buffer.isBuffer(data) ? data : Buffer.from(String(data));
      this.frames.push(isBinary ? { binary: bytes } : parseFrame(bytes.toString("utf8")));
      this.#notify();
    });
    this.socket.on("close", () => this.#notify());
    // A test that cuts the connection looks at `socket.readyState`.
    this.socket.on("error", () => this.#notify());
  }

  static async connect(url: string): Promise<TestClient> {
    const client = new TestClient(url);
    await once(client.socket, "open", { signal: AbortSignal.timeout(PATIENCE_MS) });
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.socket.readyState !== WebSocket.CLOSED) {
      const closed = once(this.socket, "close");
      this.socket.terminate();
      await closed;
    }
  }

  get isOpen(): boolean {
    return this.socket.readyState === WebSocket.OPEN;
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.#ask(path, { headers });
  }

  post(path: string, body: unknown): Promise<Answer> {
    return this.#ask(path, { method: "POST", body: stringifyJson(body) });
  }

  delete(path: string): Promise<Answer> {
    return this.#ask(path, { method: "DELETE" });
  }

  /** Submits a graph and returns the answer. */
  submit(prompt: unknown, more: Readonly<Record<string, unknown>> = {}): Promise<Answer> {
    return this.post("/api/prompt", { prompt, client_id: this.id, ...more });
  }

  /** Submits a graph, waits for its last event and returns its id and record. */
  async run(
    prompt: unknown,
    more: Readonly<Record<string, unknown>> = {},
  ): Promise<{ id: string; record: unknown }> {
    const answer = await this.submit(prompt, more);
    const id = String(at(answer.json, "prompt_id"));
    await this.over(id);
    return { id, record: at((await this.get(`/api/history/${id}`)).json, id) };
  }

  /** Waits for a frame. */
  async frame(wanted: (frame: Frame) => boolean): Promise<Frame> {
    let found: Frame | undefined;
    await this.until(() => {
      found = this.frames.find(wanted);
      return found !== undefined;
    });
    return found ?? { type: "", data: null };
  }

  /** Waits for an event of a type. */
  event(type: string): Promise<Frame> {
    return this.frame((frame) => "type" in frame && frame.type === type);
  }

  /** Waits for the last event of a prompt. */
  over(promptId: string): Promise<Frame> {
    return this.frame(
      (frame) =>
        "type" in frame &&
        frame.type === "executing" &&
        at(frame.data, "node") === null &&
        at(frame.data, "prompt_id") === promptId,
    );
  }

  /** Waits until `condition` holds; it is looked at after every frame and when the connection ends. */
  async until(condition: () => boolean): Promise<void> {
    const deadline = AbortSignal.timeout(PATIENCE_MS);
    const late = Promise.withResolvers<never>();
    deadline.addEventListener("abort", () => late.reject(deadline.reason));
    while (!condition()) {
      await Promise.race([this.#changed.promise, late.promise]);
    }
    late.promise.catch(() => undefined);
  }

  async #ask(path: string, init: RequestInit): Promise<Answer> {
    const response = await fetch(this.#url + path, { ...init, signal: AbortSignal.timeout(PATIENCE_MS) });
    const body = Buffer.from(await response.arrayBuffer());
    const isJson = response.headers.get("content-type")?.includes("json") === true;
    return {
      status: response.status,
      headers: response.headers,
      body,
      json: isJson ? parseJson(body.toString("utf8")) : undefined,
    };
  }

  #notify(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}

function parseFrame(text: string): Frame {
  const message = parseJson(text);
  return { type: String(at(message, "type")), data: at(message, "data") };
}
