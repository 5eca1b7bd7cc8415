import { Readable } from "node:stream";
import { buildConnector, Pool } from "undici";
import type { WorkflowGraph } from "../../domain/graph.ts";
import type { OutputFile } from "../engine.ts";
import { asArray, asObject, asString, asStrings, isObject } from "./json-shape.ts";
import { parseQueueRemaining } from "./messages.ts";
import type { Settings } from "./options.ts";
import { type PromptRecord, parseHistory } from "./record.ts";
import { type InputPlace, type UploadContent, UploadForm } from "./upload-form.ts";
import { parseWireJson, writeWireJson } from "./wire-json.ts";

/** The HTTP side of one ComfyUI server, a method for each route. Every method throws {@link NoAnswerError}. */
export interface ComfyUiClient extends AsyncDisposable {
  /** `POST /prompt`: the status and the body, whichever they are. Never sent twice. */
  submit(submission: Submission, signal: AbortSignal): Promise<Answer>;
  /** `GET /jobs/{id}`: where the prompt is; `noRoute` on servers before 0.5.2, `unclear` if it fails on this one. */
  job(promptId: string, signal: AbortSignal): Promise<JobState | "absent" | "noRoute" | "unclear">;
  /** `GET /queue`. Slow if many large graphs wait. */
  queue(signal: AbortSignal): Promise<QueueContent>;
  /** `GET /history/{id}`. */
  record(promptId: string, signal: AbortSignal): Promise<PromptRecord | undefined>;
  /** `POST /jobs/{id}/cancel`: whether a cancel was dispatched; `noRoute` on servers before 0.25.1. */
  cancelJob(promptId: string, signal: AbortSignal): Promise<boolean | "noRoute">;
  /** `POST /queue`: takes the prompt out of the queue if it waits there; says nothing about whether it did. */
  deletePending(promptId: string, signal: AbortSignal): Promise<void>;
  /**
   * `POST /interrupt`: stops the prompt if it is the running one. Servers before 0.3.57 do not read the id and stop
   * whatever runs.
   */
  interrupt(promptId: string, signal: AbortSignal): Promise<void>;
  /** `GET /prompt`: prompts pending and running. */
  queueDepth(signal: AbortSignal): Promise<number>;
  /** `GET /system_stats`. */
  systemInfo(signal: AbortSignal): Promise<SystemInfo>;
  /** `GET /object_info/{class}`: what the server says of the class; `undefined` if it has no such class. */
  nodeClass(classType: string, signal: AbortSignal): Promise<unknown>;
  /** `GET /object_info`: the text of what the server says of all its classes, megabytes of JSON; not checked. */
  nodeClasses(signal: AbortSignal): Promise<string>;
  /** `GET /embeddings`: names, without the ends of their files; none on servers without such a route. */
  embeddings(signal: AbortSignal): Promise<readonly string[]>;
  /** `GET /view_metadata/{folder}`: the metadata in a model file's header; `undefined` if there is none. */
  modelMetadata(folder: string, filename: string, signal: AbortSignal): Promise<unknown>;
  /** `HEAD /view`: the size of a file in the input directory, in bytes; `undefined` if there is none, or it does not say. */
  inputSize(place: InputPlace, signal: AbortSignal): Promise<number | undefined>;
  /**
   * `POST /upload/image`: the status and the body, whichever they are. Never sent twice. What `content.body` throws is
   * thrown as it is.
   */
  uploadInput(place: InputPlace, content: UploadContent, signal: AbortSignal): Promise<Answer>;
  /** `GET /view`, from `range` on. The body must be read, or destroyed. */
  openFile(file: OutputFile, range: FileRange | undefined, signal: AbortSignal): Promise<FileAnswer>;
  /** `POST /free`. */
  free(signal: AbortSignal): Promise<void>;
  /** `POST /history`: drops the records of prompts. */
  deleteRecords(promptIds: readonly string[], signal: AbortSignal): Promise<void>;
}

export interface Submission {
  readonly promptId: string;
  readonly clientId: string;
  readonly graph: WorkflowGraph;
  readonly previews: boolean;
}

export interface Answer {
  readonly status: number;
  /** The body if it is JSON, else `undefined`. */
  readonly body: unknown;
}

export type JobState = "pending" | "running" | "ended";

export interface QueueContent {
  readonly runningIds: readonly string[];
  readonly pendingIds: readonly string[];
}

export interface SystemInfo {
  /** Version of ComfyUI; empty if it does not say. */
  readonly version: string;
  /** Whether it says that it is the built-in engine. */
  readonly builtIn: boolean;
}

/** Asks for a file from byte `offset` on, if it still is the one with this `etag`. */
export interface FileRange {
  readonly offset: number;
  readonly etag: string;
}

export interface FileAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: AsyncIterable<Buffer> & {
    destroy(error?: Error): unknown;
    on(event: "error", listener: (error: Error) => void): unknown;
  };
}

/** The server gave no answer, or none that a ComfyUI server gives. */
export class NoAnswerError extends Error {
  override readonly name = "NoAnswerError";
  /** Whether the request may have reached the server: not if no connection could be made. */
  readonly sent: boolean;
  /** HTTP status, if something answered. */
  readonly status: number | undefined;

  constructor(message: string, facts: { sent: boolean; status?: number }, options?: ErrorOptions) {
    super(message, options);
    this.sent = facts.sent;
    this.status = facts.status;
  }
}

/** Makes a client. Connections are made when they are needed; disposing of it breaks those that are in use. */
export function createComfyUiClient(settings: Settings): ComfyUiClient {
  return new HttpClient(settings);
}

/** Requests and files have pools of their own, so that slow readers of files cannot keep prompts from being watched. */
class HttpClient implements ComfyUiClient {
  readonly #settings: Settings;
  readonly #jsonHeaders: Readonly<Record<string, string>>;
  readonly #unconnected = new WeakSet<object>();
  readonly #requests: Pool;
  readonly #transfers: Pool;

  constructor(settings: Settings) {
    this.#settings = settings;
    this.#jsonHeaders = { ...settings.headers, "content-type": "application/json" };
    this.#requests = this.#makePool(settings.requestTimeoutMs);
    this.#transfers = this.#makePool(0); // the reader of a file bounds its silence: see output-stream.ts
  }

  submit({ promptId, clientId, graph, previews }: Submission, signal: AbortSignal): Promise<Answer> {
    const body = writeWireJson({
      prompt: graph,
      prompt_id: promptId,
      client_id: clientId,
      extra_data: { preview_method: previews ? "auto" : "none" },
    });
    return this.#send("POST", "/api/prompt", body, signal);
  }

  async job(promptId: string, signal: AbortSignal): Promise<JobState | "absent" | "noRoute" | "unclear"> {
    const { status, body } = await this.#get(`/api/jobs/${encodeURIComponent(promptId)}`, signal);
    if (status === 200) {
      return jobStates.get(asObject(body).status) ?? "unclear";
    }
    if (status === 404) {
      return isObject(body) && "error" in body ? "absent" : "noRoute";
    }
    return "unclear";
  }

  async queue(signal: AbortSignal): Promise<QueueContent> {
    const { queue_running: running, queue_pending: pending } = await this.#getObject("/api/queue", signal);
    return { runningIds: idsOf(running), pendingIds: idsOf(pending) };
  }

  async record(promptId: string, signal: AbortSignal): Promise<PromptRecord | undefined> {
    const body = await this.#getObject(`/api/history/${encodeURIComponent(promptId)}`, signal);
    return parseHistory(body, promptId);
  }

  async cancelJob(promptId: string, signal: AbortSignal): Promise<boolean | "noRoute"> {
    const path = `/api/jobs/${encodeURIComponent(promptId)}/cancel`;
    const { status, body } = await this.#send("POST", path, "{}", signal);
    if (status === 404 || status === 405) {
      return "noRoute";
    }
    const { cancelled } = asObject(status === 200 ? body : undefined);
    if (typeof cancelled !== "boolean") {
      throw unusable(status);
    }
    return cancelled;
  }

  deletePending(promptId: string, signal: AbortSignal): Promise<void> {
    return this.#post("/api/queue", { delete: [promptId] }, signal);
  }

  async interrupt(promptId: string, signal: AbortSignal): Promise<void> {
    if (promptId === "") {
      throw new TypeError("an interrupt without an id would stop whatever runs");
    }
    await this.#post("/api/interrupt", { prompt_id: promptId }, signal);
  }

  async queueDepth(signal: AbortSignal): Promise<number> {
    const depth = parseQueueRemaining(await this.#getObject("/api/prompt", signal));
    if (depth === undefined) {
      throw unusable(200);
    }
    return depth;
  }

  async systemInfo(signal: AbortSignal): Promise<SystemInfo> {
    const system = asObject((await this.#getObject("/api/system_stats", signal)).system);
    return {
      version: asString(system.comfyui_version) ?? "",
      builtIn: system.comfyrpc_demo_engine === true,
    };
  }

  async nodeClass(classType: string, signal: AbortSignal): Promise<unknown> {
    return (await this.#getObject(`/api/object_info/${encodeURIComponent(classType)}`, signal))[classType];
  }

  async nodeClasses(signal: AbortSignal): Promise<string> {
    const { status, text } = await this.#repeatable(() =>
      this.#exchange("GET", "/api/object_info", null, signal),
    );
    if (status !== 200) {
      throw unusable(status);
    }
    return text;
  }

  async embeddings(signal: AbortSignal): Promise<readonly string[]> {
    const { status, body } = await this.#get("/api/embeddings", signal);
    if (status !== 404 && !(status === 200 && Array.isArray(body))) {
      throw unusable(status);
    }
    return asStrings(body);
  }

  async modelMetadata(folder: string, filename: string, signal: AbortSignal): Promise<unknown> {
    const query = new URLSearchParams({ filename });
    const { status, body } = await this.#get(`/api/view_metadata/${folder}?${query}`, signal);
    if (status !== 200 && status !== 404) {
      throw unusable(status);
    }
    return status === 200 ? body : undefined;
  }

  async inputSize(place: InputPlace, signal: AbortSignal): Promise<number | undefined> {
    const query = new URLSearchParams({ ...place, type: "input" });
    const { status, headers } = await this.#repeatable(() =>
      this.#exchange("HEAD", `/api/view?${query}`, null, signal),
    );
    const length = Number(headers["content-length"] ?? Number.NaN);
    return status === 200 && Number.isSafeInteger(length) ? length : undefined;
  }

  async uploadInput(place: InputPlace, content: UploadContent, signal: AbortSignal): Promise<Answer> {
    const form = new UploadForm(place, content, this.#settings.requestTimeoutMs);
    const body = Readable.from(form.body(), { objectMode: false });
    try {
      const answer = await this.#transfers.request({
        method: "POST",
        path: `${this.#settings.basePath}/api/upload/image`,
        headers: { ...this.#settings.headers, ...form.headers },
        body,
        signal: AbortSignal.any([signal, form.stalled]),
      });
      return { status: answer.statusCode, body: parseIfJson(await answer.body.text()) };
    } catch (error) {
      throw form.failure === undefined || signal.aborted ? this.#noAnswer(error, signal) : form.failure.error;
    } finally {
      body.destroy();
    }
  }

  async openFile(
    { filename, subfolder, type }: OutputFile,
    range: FileRange | undefined,
    signal: AbortSignal,
  ): Promise<FileAnswer> {
    const query = new URLSearchParams({ filename, subfolder, type });
    try {
      const { statusCode, headers, body } = await this.#transfers.request({
        method: "GET",
        path: `${this.#settings.basePath}/api/view?${query}`,
        headers: {
          ...this.#settings.headers,
          ...(range && { range: `bytes=${range.offset}-`, "if-range": range.etag }),
        },
        signal,
      });
      return { status: statusCode, headers, body };
    } catch (error) {
      throw this.#noAnswer(error, signal);
    }
  }

  free(signal: AbortSignal): Promise<void> {
    return this.#post("/api/free", { unload_models: true, free_memory: true }, signal);
  }

  deleteRecords(promptIds: readonly string[], signal: AbortSignal): Promise<void> {
    return this.#post("/api/history", { delete: promptIds }, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#requests.destroy(), this.#transfers.destroy()]);
  }

  async #getObject(path: string, signal: AbortSignal): Promise<Readonly<Record<string, unknown>>> {
    const { status, body } = await this.#get(path, signal);
    if (status !== 200 || !isObject(body)) {
      throw unusable(status);
    }
    return body;
  }

  #get(path: string, signal: AbortSignal): Promise<Answer> {
    return this.#repeatable(() => this.#send("GET", path, null, signal));
  }

  /** Once more if a kept connection turns out to be dead, for what may be repeated. */
  async #repeatable<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      if (error instanceof NoAnswerError && isBrokenConnection(error.cause)) {
        return await ask();
      }
      throw error;
    }
  }

  async #post(path: string, body: unknown, signal: AbortSignal): Promise<void> {
    const { status } = await this.#send("POST", path, writeWireJson(body), signal);
    if (status !== 200) {
      throw unusable(status);
    }
  }

  async #send(
    method: "GET" | "POST",
    path: string,
    body: string | null,
    signal: AbortSignal,
  ): Promise<Answer> {
    const { status, text } = await this.#exchange(method, path, body, signal);
    return { status, body: parseIfJson(text) };
  }

  async #exchange(method: "GET" | "HEAD" | "POST", path: string, body: string | null, signal: AbortSignal) {
    try {
      const answer = await this.#requests.request({
        method,
        path: this.#settings.basePath + path,
        headers: body === null ? this.#settings.headers : this.#jsonHeaders,
        body,
        signal,
      });
      return { status: answer.statusCode, headers: answer.headers, text: await answer.body.text() };
    } catch (error) {
      throw this.#noAnswer(error, signal);
    }
  }

  #noAnswer(error: unknown, signal: AbortSignal): unknown {
    if (signal.aborted) {
      return signal.reason;
    }
    const sent = !(typeof error === "object" && error !== null && this.#unconnected.has(error));
    const message = sent ? "the backend gave no answer" : "the backend cannot be connected to";
    return new NoAnswerError(message, { sent }, { cause: error });
  }

  #makePool(bodyTimeoutMs: number): Pool {
    const { origin, maxConnections, requestTimeoutMs } = this.#settings;
    return new Pool(origin, {
      connections: maxConnections,
      pipelining: 1,
      headersTimeout: requestTimeoutMs,
      bodyTimeout: bodyTimeoutMs,
      connect: this.#makeConnector(),
    });
  }

  /** Remembers errors of connecting: the requests that fail with them have not been sent. */
  #makeConnector(): buildConnector.connector {
    const { connectTimeoutMs, ca } = this.#settings;
    const connect = buildConnector({ timeout: connectTimeoutMs, ...(ca !== undefined && { ca }) });
    return (options, callback) =>
      connect(options, (...result) => {
        if (result[0] !== null) {
          this.#unconnected.add(result[0]);
        }
        callback(...result);
      });
  }
}

const jobStates: ReadonlyMap<unknown, JobState> = new Map([
  ["pending", "pending"],
  ["in_progress", "running"],
  ["completed", "ended"],
  ["failed", "ended"],
  ["cancelled", "ended"],
]);

/** An item of the queue is `[number, id, graph, …]`. */
function idsOf(items: unknown): readonly string[] {
  return asArray(items).flatMap((item) => asString(asArray(item)[1]) ?? []);
}

/** Whatever the header says: a proxy's page is not JSON, and ComfyUI's plain-text errors are not either. */
function parseIfJson(text: string): unknown {
  if (!/^\s*[[{]/.test(text)) {
    return undefined;
  }
  try {
    return parseWireJson(text);
  } catch {
    return undefined; // the caller sees that there is no body of use
  }
}

function unusable(status: number): NoAnswerError {
  return new NoAnswerError(`the backend answered HTTP ${status} without a body of use`, {
    sent: true,
    status,
  });
}

const brokenConnection = new Set(["UND_ERR_SOCKET", "ECONNRESET", "EPIPE"]);

function isBrokenConnection(error: unknown): boolean {
  return error instanceof Error && "code" in error && brokenConnection.has(String(error.code));
}
