import { randomUUID } from "node:crypto";
import { Agent, request } from "undici";
import { z } from "zod";
import { type Graph, MANY_STEPS, type Txt2ImgOptions, txt2img } from "./graphs.ts";
import {
  type HistoryRecord,
  historyListing,
  type ImageEntry,
  job,
  promptAccepted,
  queueListing,
} from "./messages.ts";
import { ComfyHttp, ComfySocket, type Frame, type Reply, type SocketOptions } from "./wire.ts";

/** A running server to hold to the contract. Disposing of it may stop it. */
export type ComfyUiServerUnderTest = AsyncDisposable & {
  /** `http://host:port`, without a path. */
  baseUrl: string;
  /** Name of a checkpoint that the server lists and can sample with. */
  checkpoint: string;
};

/** Hands out a server for one test: a new one each time, or always the same. */
export type OpenServer = () => Promise<ComfyUiServerUnderTest>;

export interface SubmitOptions {
  /** The connection that shall receive the events; without it nobody is named in the request. */
  socket?: ComfySocket;
  /** Default: a new UUID. */
  promptId?: string;
  extraData?: Record<string, unknown>;
}

/** One prompt that has ended. */
export interface FinishedRun {
  promptId: string;
  /** What the submitting connection received about it. */
  frames: Frame[];
  record: HistoryRecord;
}

export type PromptState = "pending" | "in_progress" | "completed" | "failed" | "cancelled" | "unknown";

/**
 * What one test does with one server. Disposing of it cancels the prompts that the test left behind, closes its
 * connections and gives the server back.
 */
export class Session implements AsyncDisposable {
  readonly checkpoint: string;
  readonly http: ComfyHttp;
  readonly #baseUrl: string;
  readonly #submitted: string[] = [];
  readonly #resources = new AsyncDisposableStack();

  private constructor(server: ComfyUiServerUnderTest) {
    const agent = new Agent();
    this.#resources.use(server);
    this.#resources.defer(() => agent.destroy());
    this.#baseUrl = server.baseUrl;
    this.checkpoint = server.checkpoint;
    this.http = new ComfyHttp(server.baseUrl, agent);
  }

  static async start(open: OpenServer): Promise<Session> {
    return new Session(await open());
  }

  /** Opens a connection with a fresh client id that negotiates previews with metadata, unless told otherwise. */
  async connect(options: Partial<SocketOptions> = {}): Promise<ComfySocket> {
    const socket = await ComfySocket.open(this.#baseUrl, {
      clientId: randomUUID(),
      previewMetadata: true,
      ...options,
    });
    return this.#resources.use(socket);
  }

  /** The base graph for this server's checkpoint. */
  txt2img(options: Omit<Txt2ImgOptions, "checkpoint"> = {}): Graph {
    return txt2img({ checkpoint: this.checkpoint, ...options });
  }

  /**
   * Posts a graph and returns whatever the server answers. If it was accepted and is not finished by then, it is
   * cancelled with the session.
   */
  post(graph: unknown, { socket, promptId = randomUUID(), extraData }: SubmitOptions = {}): Promise<Reply> {
    this.#submitted.push(promptId);
    return this.http.post("/api/prompt", {
      prompt: graph,
      prompt_id: promptId,
      ...(socket && { client_id: socket.clientId }),
      ...(extraData && { extra_data: extraData }),
    });
  }

  /** Submits a graph that has to be accepted as a whole, and returns its prompt id. */
  async submit(graph: Graph, options: SubmitOptions = {}): Promise<string> {
    const reply = await this.post(graph, options);
    const { prompt_id, node_errors } = reply.json(promptAccepted);
    if (Object.keys(node_errors).length > 0) throw new Error(`accepted in part: ${reply.text}`);
    return prompt_id;
  }

  /** Submits a graph and waits until it has ended, however that may be. */
  async run(graph: Graph, options: SubmitOptions & { socket: ComfySocket }): Promise<FinishedRun> {
    const promptId = await this.submit(graph, options);
    await options.socket.whenEnded(promptId);
    return { promptId, frames: options.socket.framesOf(promptId), record: await this.record(promptId) };
  }

  /** Submits a prompt of very many steps and waits until it samples. */
  async startSlow(socket: ComfySocket): Promise<string> {
    const promptId = await this.submit(this.txt2img({ steps: MANY_STEPS }), { socket });
    await socket.when("progress", ({ data }) => data.prompt_id === promptId);
    return promptId;
  }

  interrupt(promptId: string): Promise<Reply> {
    return this.http.post("/api/interrupt", { prompt_id: promptId });
  }

  /** The history record of a prompt that has ended. */
  async record(promptId: string): Promise<HistoryRecord> {
    const record = (await this.history(promptId))[promptId];
    if (!record) throw new Error(`the history has no record of ${promptId}`);
    return record;
  }

  async history(promptId: string): Promise<Record<string, HistoryRecord>> {
    return (await this.http.get(`/api/history/${promptId}`)).json(historyListing);
  }

  /** Ids that run and wait at this moment. */
  async queue(): Promise<{ running: string[]; pending: string[] }> {
    const listing = (await this.http.get("/api/queue")).json(queueListing);
    return {
      running: listing.queue_running.map(([, promptId]) => promptId),
      pending: listing.queue_pending.map(([, promptId]) => promptId),
    };
  }

  /**
   * Looks a prompt up as our adapter does: by the jobs route where there is one, else in the queue and then in the
   * history, an order that cannot miss a prompt moving from the one to the other (protocol 6). Up to 0.8.2 the jobs
   * route calls an interrupted prompt failed, so that only its record can tell.
   */
  async stateOf(promptId: string): Promise<PromptState> {
    const reply = await this.http.get(`/api/jobs/${promptId}`);
    if (!reply.isJson) return this.#stateByQueueAndHistory(promptId);
    if (reply.status === 404) return "unknown";
    const { status } = reply.json(job);
    return status === "failed" ? this.#stateByHistory(promptId) : status;
  }

  async #stateByQueueAndHistory(promptId: string): Promise<PromptState> {
    const { running, pending } = await this.queue();
    if (running.includes(promptId)) return "in_progress";
    if (pending.includes(promptId)) return "pending";
    return this.#stateByHistory(promptId);
  }

  async #stateByHistory(promptId: string): Promise<PromptState> {
    const record = (await this.history(promptId))[promptId];
    if (!record) return "unknown";
    if (record.status.status_str === "success") return "completed";
    return lastMessage(record) === "execution_interrupted" ? "cancelled" : "failed";
  }

  /** Whether the server has the jobs routes (0.6.0 and later). A missing route answers 404 without JSON. */
  async hasJobsRoute(): Promise<boolean> {
    return (await this.http.get(`/api/jobs/${randomUUID()}`)).isJson;
  }

  view(image: ImageEntry, headers: Record<string, string> = {}): Promise<Reply> {
    return this.http.get(viewPath(image), headers);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using _resources = this.#resources;
    await this.#cancelUnfinished();
  }

  /** Cancels what is left of this session's prompts and waits, on `status` frames, until the queue is rid of them. */
  async #cancelUnfinished(): Promise<void> {
    if ((await this.#unfinished()).length === 0) return;
    const watcher = await this.connect();
    for (;;) {
      const seen = watcher.frames.length;
      const left = await this.#unfinished();
      if (left.length === 0) return;
      await this.http.post("/api/queue", { delete: left });
      for (const promptId of left) await this.interrupt(promptId);
      await watcher.when("status", () => true, seen);
    }
  }

  async #unfinished(): Promise<string[]> {
    if (this.#submitted.length === 0) return [];
    const { running, pending } = await this.queue();
    return [...running, ...pending].filter((promptId) => this.#submitted.includes(promptId));
  }
}

/** The first checkpoint that a server lists: what the runners of the suite sample with. */
export async function firstCheckpointOf(baseUrl: string): Promise<string> {
  const response = await request(`${baseUrl}/api/models/checkpoints`);
  const [checkpoint] = z.array(z.string()).parse(await response.body.json());
  if (checkpoint === undefined) throw new Error(`the server at ${baseUrl} has no checkpoint`);
  return checkpoint;
}

/** Path and query that fetch an image; all three parts are needed (protocol trap 23). */
export function viewPath({ filename, subfolder, type }: ImageEntry): string {
  return `/api/view?${new URLSearchParams({ filename, subfolder, type })}`;
}

/** The images that a record names, node by node. */
export function imagesOf(record: HistoryRecord): ImageEntry[] {
  return Object.values(record.outputs).flatMap((output) => output.images ?? []);
}

/** The name of the event that ended a prompt: the only thing that tells an interrupted from a failed one. */
export function lastMessage(record: HistoryRecord): string | undefined {
  return record.status.messages.at(-1)?.[0];
}
