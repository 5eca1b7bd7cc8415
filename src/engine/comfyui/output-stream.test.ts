import type { IncomingMessage, ServerResponse } from "node:http";
import { buffer } from "node:stream/consumers";
import { setTimeout } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { createLogger } from "../../telemetry/logger.ts";
import type { OutputFile, OutputStream } from "../engine.ts";
import { createComfyUiClient } from "./client.ts";
import { resolveOptions } from "./options.ts";
import { openOutput } from "./output-stream.ts";
import { startHttpServer } from "./testing/http-server.ts";

const content = Buffer.from(Array.from({ length: 200_000 }, (_, index) => index % 251));
const file: OutputFile = { filename: "größe &1.png", subfolder: "a b/c", type: "temp" };

/** Opens the file at a server that does what `handle` does, and passes it to `use`. */
async function withFile(
  handle: (request: IncomingMessage, response: ServerResponse, attempt: number) => void,
  use: (open: () => Promise<OutputStream>, requests: readonly IncomingMessage[]) => Promise<void>,
  { silenceMs = 5_000, lostAfterMs = 300 } = {},
): Promise<void> {
  let attempt = 0;
  await using server = await startHttpServer((request, response) => handle(request, response, ++attempt));
  await using client = createComfyUiClient(resolveOptions({ name: "test", baseUrl: server.url }));
  const deps = { client, logger: createLogger({ level: "silent" }), silenceMs, lostAfterMs };
  await use(() => openOutput(file, deps, AbortSignal.timeout(10_000)), server.requests);
}

/** Serves the file from the range's start, cut to `lengthBytes` before the connection breaks. */
function serve(
  request: IncomingMessage,
  response: ServerResponse,
  etag: string,
  lengthBytes = content.length,
): void {
  const begin = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
  response.writeHead(begin > 0 ? 206 : 200, {
    "content-type": "image/png; charset=binary",
    "content-length": content.length - begin,
    etag,
    ...(begin > 0 && { "content-range": `bytes ${begin}-${content.length - 1}/${content.length}` }),
  });
  const rest = content.subarray(begin, begin + lengthBytes);
  if (begin + lengthBytes >= content.length) {
    response.end(rest);
  } else {
    response.write(rest, () => response.destroy());
  }
}

describe("openOutput", () => {
  it("names the file in full and streams its bytes", async () => {
    await withFile(
      (request, response) => serve(request, response, '"1"'),
      async (open, requests) => {
        const { mediaType, sizeBytes, body } = await open();
        expect({ mediaType, sizeBytes }).toEqual({ mediaType: "image/png", sizeBytes: content.length });
        expect(await buffer(body)).toEqual(content);
        const url = new URL(requests[0]?.url ?? "", "http://host");
        expect(url.pathname).toBe("/api/view");
        expect(Object.fromEntries(url.searchParams)).toEqual(file);
      },
    );
  });

  it("resumes where a download broke off, as long as the file is the same", async () => {
    await withFile(
      (request, response, attempt) => serve(request, response, '"1"', attempt < 3 ? 60_000 : content.length),
      async (open, requests) => {
        expect(await buffer((await open()).body)).toEqual(content);
        expect(requests.map(({ headers }) => headers.range)).toEqual([
          undefined,
          "bytes=60000-",
          "bytes=120000-",
        ]);
        expect(requests[1]?.headers["if-range"]).toBe('"1"');
      },
    );
  });

  it.each([
    ["has changed", (attempt: number) => `"${attempt}"`],
    ["cannot be told from another", () => 'W/"1"'],
  ])("fails rather than join parts of a file that %s", async (_what, etagOf) => {
    await withFile(
      (request, response, attempt) => serve(request, response, etagOf(attempt), 60_000),
      async (open) => {
        const { body } = await open();
        await expect(buffer(body)).rejects.toMatchObject({ reason: "NO_OUTPUT" });
      },
    );
  });

  it("gives up on a file that never arrives whole", async () => {
    await withFile(
      (request, response) => serve(request, response, '"1"', 1_000),
      async (open, requests) => {
        const { body } = await open();
        await expect(buffer(body)).rejects.toMatchObject({ reason: "NO_OUTPUT" });
        expect(requests).toHaveLength(4);
      },
    );
  });

  it("resumes when the server falls silent", async () => {
    await withFile(
      (request, response, attempt) => {
        if (attempt === 1) {
          response.writeHead(200, { "content-length": content.length, etag: '"1"' });
          response.write(content.subarray(0, 1_000)); // and then nothing
        } else {
          serve(request, response, '"1"');
        }
      },
      async (open, requests) => {
        expect(await buffer((await open()).body)).toEqual(content);
        expect(requests).toHaveLength(2);
      },
      { silenceMs: 50 },
    );
  });

  it("does not take a slow reader for a silent server", async () => {
    const large = Buffer.alloc(8 * 1024 * 1024, 1);
    await withFile(
      (_request, response) => {
        response.writeHead(200, { "content-length": large.length, etag: '"1"' }).end(large);
      },
      async (open, requests) => {
        let receivedBytes = 0;
        for await (const chunk of (await open()).body) {
          if (receivedBytes === 0) {
            await setTimeout(150); // three times as long as the server may be silent
          }
          receivedBytes += chunk.length;
        }
        expect(receivedBytes).toBe(large.length);
        expect(requests).toHaveLength(1);
      },
      { silenceMs: 50 },
    );
  });

  it.each([404, 400, 403])("reports a file that is not there (HTTP %d) at once", async (status) => {
    await withFile(
      (_request, response) => {
        response.writeHead(status).end();
      },
      async (open, requests) => {
        await expect(open()).rejects.toMatchObject({ reason: "NO_OUTPUT" });
        expect(requests).toHaveLength(1);
      },
    );
  });

  it("tries again where a proxy cannot reach the server for a moment", async () => {
    await withFile(
      (request, response, attempt) => {
        if (attempt === 1) {
          response.writeHead(503).end("<html>");
        } else {
          serve(request, response, '"1"');
        }
      },
      async (open) => {
        expect(await buffer((await open()).body)).toEqual(content);
      },
    );
  });

  it("gives up on a server that fails with an error of its own", async () => {
    await withFile(
      (_request, response) => {
        response.writeHead(500).end("Traceback");
      },
      async (open, requests) => {
        await expect(open()).rejects.toMatchObject({
          reason: "NO_OUTPUT",
          details: { metadata: { http_status: "500" } },
        });
        expect(requests).toHaveLength(4);
      },
      { lostAfterMs: 60_000 },
    );
  });

  it.each([404, 503])("does not wait for the rest of an answer of no use (HTTP %d)", async (status) => {
    await withFile(
      (_request, response) => {
        response.writeHead(status, { "content-length": 1_000 }).write("<html>"); // and then nothing
      },
      async (open) => {
        await expect(open()).rejects.toMatchObject({ reason: status === 404 ? "NO_OUTPUT" : "BACKEND_LOST" });
      },
    );
  });

  it("reports a backend that is out of reach", async () => {
    await withFile(
      (request) => request.socket.destroy(),
      async (open) => {
        await expect(open()).rejects.toMatchObject({ reason: "BACKEND_LOST" });
      },
    );
  });

  it("frees the connection when the reader leaves early", async () => {
    const closed = Promise.withResolvers<void>();
    await withFile(
      (_request, response) => {
        response.on("close", closed.resolve);
        response.writeHead(200, { "content-length": content.length * 100 });
        response.write(content);
      },
      async (open) => {
        for await (const chunk of (await open()).body) {
          expect(chunk.length).toBeGreaterThan(0);
          break;
        }
        await closed.promise;
      },
    );
  });
});
