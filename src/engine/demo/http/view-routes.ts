import { createReadStream, type Stats } from "node:fs";
import { stat } from "node:fs/promises";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import sharp from "sharp";
import type { FaultPlan } from "../faults.ts";
import { type FileStore, isWithin, parseAnnotated } from "../files.ts";
import type { History } from "../history.ts";
import { isJsonObject } from "../json.ts";
import { type Exchange, type Route, replyEmpty } from "./exchange.ts";

/** Where files are, and what may happen to them on the way. */
export interface ViewRoutesOptions {
  readonly files: FileStore;
  readonly history: History;
  readonly faults: FaultPlan;
}

/** Reading of files. */
export function viewRoutes(options: ViewRoutesOptions): readonly Route[] {
  return [{ method: "GET", path: "/view", handle: (exchange) => view(exchange, options) }];
}

async function view(exchange: Exchange, { files, history, faults }: ViewRoutesOptions): Promise<void> {
  const { query } = exchange;
  const located = locate(query, files);
  if (typeof located === "number") {
    replyEmpty(exchange, located);
    return;
  }
  const promptId = faults.pending().length > 0 ? producerOf(located.name, history) : undefined;
  const stats = await statOf(located.path);
  if (!stats?.isFile() || faults.take("lose_output", promptId)) {
    replyEmpty(exchange, 404);
    return;
  }
  const preview = query.get("preview");
  const channel = query.get("channel") ?? "rgba";
  if (preview !== null) {
    await replyPreview(exchange, located, preview, channel);
  } else if (channel === "rgb" || channel === "a") {
    await replyChannel(exchange, located, channel);
  } else {
    await replyFile(exchange, located, stats, faults, promptId);
  }
}

interface Located {
  readonly path: string;
  readonly name: string;
}

/** Where the file is, or the status that refuses it. Only the last part of the name counts, as with ComfyUI. */
function locate(query: URLSearchParams, files: FileStore): Located | number {
  const given = query.get("filename");
  if (given === null) {
    return 404;
  }
  const { filename, type = query.get("type") ?? "output" } = parseAnnotated(given);
  if (filename === "" || filename.startsWith("/") || filename.includes("..")) {
    return 400;
  }
  if (type !== "output" && type !== "input" && type !== "temp") {
    return 400;
  }
  const base = files.directories[type];
  const directory = path.resolve(base, query.get("subfolder") ?? "");
  if (!isWithin(base, directory)) {
    return 403;
  }
  const name = path.basename(filename);
  return { path: path.join(directory, name), name };
}

async function statOf(file: string): Promise<Stats | undefined> {
  try {
    return await stat(file);
  } catch {
    // Whatever the reason, there is nothing to show.
    return undefined;
  }
}

/** The newest prompt that left a file of this name. */
function producerOf(filename: string, history: History): string | undefined {
  return history
    .entries()
    .toReversed()
    .find(({ outputs }) =>
      Object.values(outputs).some((output) => {
        const images = isJsonObject(output) ? output.images : undefined;
        return (
          Array.isArray(images) && images.some((item) => isJsonObject(item) && item.filename === filename)
        );
      }),
    )?.prompt.promptId;
}

async function replyPreview(
  exchange: Exchange,
  file: Located,
  preview: string,
  channel: string,
): Promise<void> {
  const [wanted, ...rest] = preview.split(";");
  const last = rest.at(-1) ?? wanted ?? "";
  const quality = /^\d+$/.test(last) ? Math.min(100, Math.max(1, Number(last))) : 90;
  const format = wanted === "jpeg" && !channel.includes("a") ? "jpeg" : "webp";
  const picture = sharp(file.path);
  const body = await (format === "jpeg" || channel === "rgb" ? picture.removeAlpha() : picture)
    .toFormat(format, { quality })
    .toBuffer();
  replyPicture(exchange, file, `image/${format}`, body);
}

async function replyChannel(exchange: Exchange, file: Located, channel: "rgb" | "a"): Promise<void> {
  const picture = sharp(file.path);
  if (channel === "rgb") {
    replyPicture(exchange, file, "image/png", await picture.removeAlpha().png().toBuffer());
    return;
  }
  const { data, info } = await picture
    .ensureAlpha()
    .extractChannel("alpha")
    .raw()
    .toBuffer({ resolveWithObject: true });
  const { width, height } = info;
  const black = { create: { width, height, channels: 3, background: "#000" } } as const;
  const body = await sharp(black)
    .joinChannel(data, { raw: { width, height, channels: 1 } })
    .png()
    .toBuffer();
  replyPicture(exchange, file, "image/png", body);
}

function replyPicture({ response }: Exchange, file: Located, type: string, body: Buffer): void {
  response.writeHead(200, {
    "Content-Type": type,
    "Content-Length": body.length,
    "Content-Disposition": dispositionOf(file.name),
  });
  response.end(body);
}

async function replyFile(
  exchange: Exchange,
  file: Located,
  stats: Stats,
  faults: FaultPlan,
  promptId: string | undefined,
): Promise<void> {
  const { request, response } = exchange;
  const etag = `"${Math.round(stats.mtimeMs * 1000).toString(16)}-${stats.size.toString(16)}"`;
  response.setHeader("ETag", etag);
  response.setHeader("Last-Modified", stats.mtime.toUTCString());
  if (isUnchanged(request.headers, etag, stats.mtime)) {
    response.writeHead(304).end();
    return;
  }
  response.setHeader("Accept-Ranges", "bytes");
  const range = parseRange(request.headers.range, stats.size);
  if (range === "unsatisfiable") {
    response.setHeader("Content-Range", `bytes */${stats.size}`);
    replyEmpty(exchange, 416);
    return;
  }
  const { start, end } = range ?? { start: 0, end: stats.size - 1 };
  if (range) {
    response.setHeader("Content-Range", `bytes ${start}-${end}/${stats.size}`);
  }
  response.writeHead(range ? 206 : 200, {
    ...contentHeadersOf(file.name),
    "Content-Length": end - start + 1,
  });
  if (request.method === "HEAD" || stats.size === 0) {
    response.end();
    return;
  }
  await send(exchange, file, start, end, faults, promptId);
}

async function send(
  { response }: Exchange,
  file: Located,
  start: number,
  end: number,
  faults: FaultPlan,
  promptId: string | undefined,
): Promise<void> {
  const truncated = faults.take("truncated_download", promptId);
  if (truncated) {
    const length = Math.min(truncated.afterBytes ?? (end - start + 1) >> 1, end - start);
    if (length > 0) {
      for await (const chunk of createReadStream(file.path, { start, end: start + length - 1 })) {
        response.write(chunk);
      }
    }
    // Ends the connection after what has been written, short of what was announced.
    response.socket?.end();
    return;
  }
  const slow = faults.take("slow_download", promptId);
  const stream = createReadStream(file.path, { start, end });
  if (slow) {
    const closed = new AbortController();
    response.once("close", () => closed.abort());
    await pipeline(
      stream,
      (chunks: AsyncIterable<Buffer>) => slowly(chunks, slow.bytesPerSecond, closed.signal),
      response,
    );
  } else {
    await pipeline(stream, response);
  }
}

/** Passes bytes on in small pieces, so many a second. */
async function* slowly(
  chunks: AsyncIterable<Buffer>,
  bytesPerSecond: number,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const piece = Math.max(1, Math.ceil(bytesPerSecond / 20));
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += piece) {
      yield chunk.subarray(at, at + piece);
      await sleep((piece / bytesPerSecond) * 1000, undefined, { signal });
    }
  }
}

function isUnchanged(
  headers: {
    readonly "if-none-match"?: string | undefined;
    readonly "if-modified-since"?: string | undefined;
  },
  etag: string,
  modified: Date,
): boolean {
  const known = headers["if-none-match"];
  if (known !== undefined) {
    return (
      known === "*" || known.split(",").some((candidate) => candidate.trim().replace(/^W\//, "") === etag)
    );
  }
  const since = Date.parse(headers["if-modified-since"] ?? "");
  return !Number.isNaN(since) && Math.floor(modified.getTime() / 1000) * 1000 <= since;
}

/** First and last byte that are asked for. Anything but one plain range is answered with the whole file. */
function parseRange(
  header: string | undefined,
  size: number,
): { readonly start: number; readonly end: number } | "unsatisfiable" | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? "");
  if (!match || (match[1] === "" && match[2] === "")) {
    return undefined;
  }
  const start = match[1] === "" ? Math.max(0, size - Number(match[2])) : Number(match[1]);
  const end = match[1] === "" || match[2] === "" ? size - 1 : Math.min(size - 1, Number(match[2]));
  return start >= size || end < start ? "unsatisfiable" : { start, end };
}

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".jpeg": "image/jpeg",
  ".webp": "image/webp",
  ".gif": "image/gif",
  ".avif": "image/avif",
  ".txt": "text/plain",
  ".json": "application/json",
  ".flac": "audio/flac",
};

/** Types that a browser could execute. */
const ACTIVE: readonly string[] = [".html", ".htm", ".js", ".mjs", ".css", ".svg", ".xml", ".xhtml"];

function contentHeadersOf(name: string): Record<string, string> {
  const extension = path.extname(name).toLowerCase();
  const common = { "X-Content-Type-Options": "nosniff" };
  if (ACTIVE.includes(extension)) {
    return {
      ...common,
      "Content-Type": "application/octet-stream",
      "Content-Disposition": `attachment; ${dispositionOf(name)}`,
      "Cache-Control": "no-store",
    };
  }
  const type = CONTENT_TYPES[extension] ?? "application/octet-stream";
  return { ...common, "Content-Type": type, "Content-Disposition": dispositionOf(name) };
}

/** The bytes of the name's UTF-8, unencoded, as ComfyUI sends them; what no header may hold becomes `_`. */
function dispositionOf(name: string): string {
  const escaped = name.replaceAll("\\", "\\\\").replaceAll('"', '\\"');
  const bytes = Buffer.from(escaped, "utf8").map((byte) => (byte < 0x20 || byte === 0x7f ? 0x5f : byte));
  return `filename="${Buffer.from(bytes).toString("latin1")}"`;
}
