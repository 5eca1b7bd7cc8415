import { once } from "node:events";
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { buffer } from "node:stream/consumers";
import { type RawData, WebSocket, WebSocketServer } from "ws";
import { z } from "zod";

/** A request that the engine has answered, or an event or a preview that it has sent. */
export type TapEntry =
  | { readonly type: "answer"; readonly method: string; readonly path: string; readonly body: string }
  | { readonly type: "preview"; readonly sizeBytes: number }
  | {
      readonly type: "event";
      readonly name: string;
      readonly promptId: string;
      /** Empty if it is not about one. */
      readonly nodeId: string;
      /** 0 if it is not about one. */
      readonly step: number;
    };

/**
 * Stands between the service and an engine, passes everything on, and writes down what it sees, so that a test knows
 * what the engine was told and what it did. Disposing of it cuts all connections.
 */
export interface EngineTap extends AsyncDisposable {
  /** Where the service finds the engine. */
  readonly url: string;
  /** What has passed, in order. */
  readonly entries: readonly TapEntry[];
  /** Ids of the prompts that the engine was given, in order. */
  submitted(): string[];
  /** Resolves once `found` says yes to what has passed. Rejects after 20 s. */
  until(found: (entries: readonly TapEntry[]) => boolean): Promise<void>;
}

export interface EngineTapOptions {
  /** Bytes to add to each preview, behind the end of its JPEG, where decoders do not look. Default: 0. */
  readonly previewPaddingBytes?: number;
}

export async function startEngineTap(engineUrl: string, options: EngineTapOptions = {}): Promise<EngineTap> {
  const entries: TapEntry[] = [];
  const changes = new EventTarget();
  const record = (entry: TapEntry) => {
    entries.push(entry);
    changes.dispatchEvent(new Event("entry"));
  };
  const server = createServer((req, res) => {
    passOn(req, res, engineUrl, record).catch(() => res.destroy()); // one side hung up: so does the tap
  });
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  const padding = Buffer.alloc(options.previewPaddingBytes ?? 0);
  server.on("upgrade", (req, socket: Duplex, head) => {
    const upstream = new WebSocket(engineUrl.replace(/^http/, "ws") + (req.url ?? "/"), {
      perMessageDeflate: false,
    });
    upstream.on("error", () => socket.destroy());
    upstream.once("open", () => {
      sockets.handleUpgrade(req, socket, head, (downstream) => join(upstream, downstream, padding, record));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;

  return {
    url: `http://127.0.0.1:${port}`,
    entries,
    submitted: () => entries.flatMap(submittedId),
    async until(found) {
      const signal = AbortSignal.timeout(20_000);
      while (!found(entries)) await once(changes, "entry", { signal });
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets.clients) socket.terminate();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Whether a cancel of this prompt has been answered. */
export function isCancelled(entries: readonly TapEntry[], promptId: string): boolean {
  return entries.some((entry) => entry.type === "answer" && entry.path === `/api/jobs/${promptId}/cancel`);
}

/** The last step that the engine has done for this prompt; 0 if none. */
export function lastStepOf(entries: readonly TapEntry[], promptId: string): number {
  return entries.reduce(
    (last, entry) => (entry.type === "event" && entry.promptId === promptId ? entry.step || last : last),
    0,
  );
}

/** Whether the engine has sent an event of this name about this prompt. */
export function hasEvent(entries: readonly TapEntry[], name: string, promptId: string): boolean {
  return entries.some(
    (entry) => entry.type === "event" && entry.name === name && entry.promptId === promptId,
  );
}

type Recorder = (entry: TapEntry) => void;

async function passOn(
  req: IncomingMessage,
  res: ServerResponse,
  engineUrl: string,
  record: Recorder,
): Promise<void> {
  const body = await buffer(req);
  const { method = "", url: path = "", headers } = req;
  const upstream = httpRequest(engineUrl + path, { method, headers });
  upstream.end(body);
  const [answer] = (await once(upstream, "response")) as [IncomingMessage];
  record({ type: "answer", method, path, body: body.toString("utf8") });
  res.writeHead(answer.statusCode ?? 502, answer.headers);
  answer.once("error", () => res.destroy());
  answer.pipe(res);
}

function join(upstream: WebSocket, downstream: WebSocket, padding: Buffer, record: Recorder): void {
  downstream.on("error", () => upstream.terminate());
  downstream.on("message", (data, isBinary) => upstream.send(data, { binary: isBinary }));
  upstream.on("message", (data, isBinary) => {
    const frame = isBinary ? padded(data, padding) : data;
    if (Buffer.isBuffer(frame) && isBinary) record({ type: "preview", sizeBytes: frame.length });
    else recordEvent(String(data), record);
    downstream.send(frame, { binary: isBinary });
  });
  downstream.on("close", () => upstream.terminate());
  upstream.on("close", () => downstream.terminate());
}

function padded(data: RawData, padding: Buffer): Buffer {
  if (!Buffer.isBuffer(data)) throw new Error("ws gives buffers unless told otherwise");
  return Buffer.concat([data, padding]);
}

const event = z.object({
  type: z.string(),
  data: z.object({
    prompt_id: z.string(),
    node: z.string().nullish(),
    value: z.number().default(0),
  }),
});

/** Frames that are not about a prompt are of no interest. */
function recordEvent(text: string, record: Recorder): void {
  const { success, data: frame } = event.safeParse(JSON.parse(text));
  if (!success) return;
  const { prompt_id: promptId, node, value: step } = frame.data;
  record({ type: "event", name: frame.type, promptId, nodeId: node ?? "", step });
}

const submission = z.object({ prompt_id: z.string() });

function submittedId(entry: TapEntry): string[] {
  return entry.type === "answer" && entry.method === "POST" && entry.path === "/api/prompt"
    ? [submission.parse(JSON.parse(entry.body)).prompt_id]
    : [];
}
