import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { createComfyUiClient, NoAnswerError, type Submission } from "./client.ts";
import { type ComfyUiEngineOptions, resolveOptions } from "./options.ts";
import { startHttpServer } from "./testing/http-server.ts";

const promptId = "85fcbf19-df22-4369-b2ed-f62ef5031d0d";
const submission: Submission = {
  promptId,
  clientId: "client",
  graph: { "3": { class_type: "KSampler", inputs: { seed: 18446744073709551615n, model: ["4", 0] } } },
  previews: false,
};

function connect(baseUrl: string, options: Partial<ComfyUiEngineOptions> = {}) {
  return createComfyUiClient(resolveOptions({ name: "test", baseUrl, ...options }));
}

function soon(): AbortSignal {
  return AbortSignal.timeout(5_000);
}

describe("the ComfyUI client", () => {
  it("submits with ids, every digit of the seed, no number and no nulls", async () => {
    const bodies: string[] = [];
    await using server = await startHttpServer(async (request, response) => {
      bodies.push(await text(request));
      response.setHeader("content-type", "application/json").end('{"prompt_id": "x", "number": NaN}');
    });
    await using client = connect(server.url);
    expect(await client.submit(submission, soon())).toEqual({
      status: 200,
      body: { prompt_id: "x", number: null },
    });
    expect(bodies).toEqual([
      '{"prompt":{"3":{"class_type":"KSampler","inputs":{"seed":18446744073709551615,"model":["4",0]}}},' +
        `"prompt_id":"${promptId}","client_id":"client","extra_data":{"preview_method":"none"}}`,
    ]);
  });

  it("asks for previews as the server makes them", async () => {
    const bodies: string[] = [];
    await using server = await startHttpServer(async (request, response) => {
      bodies.push(await text(request));
      response.end("{}");
    });
    await using client = connect(server.url);
    await client.submit({ ...submission, previews: true }, soon());
    expect(JSON.parse(bodies[0] ?? "")).toMatchObject({ extra_data: { preview_method: "auto" } });
  });

  it("keeps to the base path, and sends extra headers and credentials, but no browser's headers", async () => {
    await using server = await startHttpServer((_request, response) => {
      response.end('{"exec_info": {"queue_remaining": 3}}');
    });
    await using client = connect(`${server.url}/comfy/`, {
      headers: { "x-tenant": "a" },
      auth: { basic: { user: "me", password: "it's ö" } },
    });
    expect(await client.queueDepth(soon())).toBe(3);
    const [request] = server.requests;
    expect(request?.url).toBe("/comfy/api/prompt");
    expect(request?.headers).toMatchObject({
      "x-tenant": "a",
      authorization: `Basic ${Buffer.from("me:it's ö").toString("base64")}`,
    });
    expect(Object.keys(request?.headers ?? {}).filter((name) => /^(origin|referer|sec-)/.test(name))).toEqual(
      [],
    );
  });

  it.each([
    ["a bearer token", { auth: { bearer: "t0ken" } }, "http:", "Bearer t0ken"],
    [
      "credentials in the address",
      {},
      "http://me:p%40ss@",
      `Basic ${Buffer.from("me:p@ss").toString("base64")}`,
    ],
  ])("sends %s", async (_what, options, prefix, expected) => {
    await using server = await startHttpServer((_request, response) => {
      response.end("{}");
    });
    const url = server.url.replace(prefix.endsWith("@") ? "http://" : "http:", prefix);
    await using client = connect(url, options);
    await client.submit(submission, soon());
    expect(server.requests[0]?.headers.authorization).toBe(expected);
  });

  it("tells a request that never left from one that may have arrived", async () => {
    let url = "";
    {
      await using server = await startHttpServer((request) => request.socket.destroy());
      url = server.url;
      await using client = connect(url);
      await expect(client.submit(submission, soon())).rejects.toMatchObject({
        name: "NoAnswerError",
        sent: true,
      });
      expect(server.requests).toHaveLength(1);
    }
    await using client = connect(url);
    await expect(client.submit(submission, soon())).rejects.toMatchObject({
      name: "NoAnswerError",
      sent: false,
    });
  });

  it("repeats a GET whose connection turns out to be dead, but never a submission", async () => {
    let broken = 0;
    await using server = await startHttpServer((request, response) => {
      if (broken++ === 0) {
        request.socket.destroy();
      } else {
        response.end('{"queue_running": [[0, "a", {}]], "queue_pending": [[1, "b", {}], null, [2]]}');
      }
    });
    await using client = connect(server.url);
    expect(await client.queue(soon())).toEqual({ runningIds: ["a"], pendingIds: ["b"] });
  });

  it("gives up on a server that does not answer in time", async () => {
    await using server = await startHttpServer(() => {});
    await using client = connect(server.url, { requestTimeoutMs: 50 });
    await expect(client.submit(submission, soon())).rejects.toMatchObject({ sent: true });
  });

  it.each([
    ["an error page", 502, "<html>Bad Gateway</html>"],
    ["plain text", 500, "500 Internal Server Error"],
    ["a login page", 200, "<html>"],
    ["cut JSON", 200, '{"queue_running": ['],
    ["an array", 200, "[]"],
  ])("does not take %s for an answer", async (_what, status, body) => {
    await using server = await startHttpServer((_request, response) => {
      response.writeHead(status).end(body);
    });
    await using client = connect(server.url);
    await expect(client.queue(soon())).rejects.toBeInstanceOf(NoAnswerError);
    await expect(client.queue(soon())).rejects.toMatchObject({ sent: true, status });
  });

  it.each([
    ["pending", 200, '{"id": "x", "status": "pending"}', "pending"],
    ["running", 200, '{"id": "x", "status": "in_progress"}', "running"],
    ["completed", 200, '{"id": "x", "status": "completed"}', "ended"],
    ["failed", 200, '{"id": "x", "status": "failed"}', "ended"],
    ["cancelled", 200, '{"id": "x", "status": "cancelled"}', "ended"],
    ["unknown to it", 404, '{"error": "Job not found"}', "absent"],
    ["on a server without the route", 404, "", "noRoute"],
    ["in a state that we do not know", 200, '{"id": "x", "status": "paused"}', "unclear"],
    ["on a server whose list is broken", 500, "500 Internal Server Error", "unclear"],
  ])("finds a job that is %s", async (_what, status, body, expected) => {
    await using server = await startHttpServer((_request, response) => {
      response.writeHead(status).end(body);
    });
    await using client = connect(server.url);
    expect(await client.job(promptId, soon())).toBe(expected);
    expect(server.requests[0]?.url).toBe(`/api/jobs/${promptId}`);
  });

  it.each([
    ["has", 200, '["one", "two"]', ["one", "two"]],
    ["is too old for", 404, "", []],
  ])("reads the embeddings of a server that %s them", async (_what, status, body, expected) => {
    await using server = await startHttpServer((_request, response) => {
      response.writeHead(status).end(body);
    });
    await using client = connect(server.url);
    expect(await client.embeddings(soon())).toEqual(expected);
    expect(server.requests[0]?.url).toBe("/api/embeddings");
  });

  it("hands out the text about all node classes, and no error page", async () => {
    let status = 200;
    await using server = await startHttpServer((_request, response) => {
      response.writeHead(status).end('{"A": NaN}');
    });
    await using client = connect(server.url);
    expect(await client.nodeClasses(soon())).toBe('{"A": NaN}');
    expect(server.requests[0]?.url).toBe("/api/object_info");
    status = 502;
    await expect(client.nodeClasses(soon())).rejects.toMatchObject({ status });
  });

  it("does not take a failure to list embeddings for none", async () => {
    await using server = await startHttpServer((_request, response) => {
      response.writeHead(500).end("500 Internal Server Error");
    });
    await using client = connect(server.url);
    await expect(client.embeddings(soon())).rejects.toMatchObject({ status: 500 });
  });

  it("interrupts with the id, and never without one", async () => {
    const bodies: string[] = [];
    await using server = await startHttpServer(async (request, response) => {
      bodies.push(await text(request));
      response.end();
    });
    await using client = connect(server.url);
    await client.interrupt(promptId, soon());
    await expect(client.interrupt("", soon())).rejects.toThrow(TypeError);
    expect(bodies).toEqual([`{"prompt_id":"${promptId}"}`]);
  });

  it("throws the reason of a signal that is aborted meanwhile", async () => {
    const stop = new AbortController();
    await using server = await startHttpServer(() => stop.abort(new Error("enough")));
    await using client = connect(server.url);
    await expect(client.queue(stop.signal)).rejects.toThrow("enough");
  });
});
