import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import sharp from "sharp";
import { describe, expect, it, vi } from "vitest";
import { WebSocket } from "ws";
import { createLogger } from "../../telemetry/logger.ts";
import { startDemoEngine } from "./demo-engine.ts";
import { readPngTexts } from "./png.ts";
import { at, type Frame, PATIENCE_MS, startTestEngine, TestClient, txt2img } from "./testing/test-client.ts";

describe("the built-in engine", () => {
  it("says in its system stats that it is no real ComfyUI", async () => {
    await using engine = await startTestEngine();
    await using client = await TestClient.connect(engine.url);
    const { json } = await client.get("/api/system_stats");
    expect(json).toMatchObject({
      system: { comfyrpc_demo_engine: true, deploy_environment: "comfyrpc-built-in-engine" },
    });
    expect(at(json, "devices", 0, "name")).toContain("not a diffusion model");
  });

  it("marks every picture as its own, beside the graph and the caller's keys", async () => {
    await using engine = await startTestEngine();
    await using client = await TestClient.connect(engine.url);
    const seed = 18446744073709551615n;
    const { record } = await client.run(txt2img({ seed }), { extra_data: { extra_pnginfo: { job: "→ 7" } } });
    const texts = new Map(
      readPngTexts(await pictureOf(client, record)).map(({ keyword, text }) => [keyword, text]),
    );
    expect(texts.get("Software")).toBe("ComfyRPC built-in engine (not a diffusion model)");
    expect(texts.get("prompt")).toContain(`"seed":${seed}`);
    expect(texts.get("job")).toBe('"→ 7"');
  });

  it("draws the same picture for the same graph, and another one for another seed", async () => {
    const draw = async (seed: number) => {
      await using engine = await startTestEngine();
      await using client = await TestClient.connect(engine.url);
      const { record } = await client.run(txt2img({ seed }));
      return sharp(await pictureOf(client, record))
        .raw()
        .toBuffer();
    };
    const [first, again, other] = [await draw(1), await draw(1), await draw(2)];
    expect(again.equals(first)).toBe(true);
    expect(other.equals(first)).toBe(false);
  });

  it("keeps every digit of a 64-bit seed in queue, history and events", async () => {
    await using engine = await startTestEngine();
    await using client = await TestClient.connect(engine.url);
    engine.faults.order({ type: "fail_node" });
    const seed = 9007199254740993n;
    const { record } = await client.run(txt2img({ seed }));
    expect(at(record, "prompt", 2, "3", "inputs", "seed")).toBe(seed);
    const failure = await client.event("execution_error");
    expect(at(failure, "data", "current_inputs", "seed", 0)).toBe(seed);
  });

  it("sends one JPEG a step, no longer than 512 pixels, to a client that knows previews with metadata", async () => {
    await using engine = await startTestEngine();
    await using client = await TestClient.connect(engine.url);
    client.socket.send('{"type":"feature_flags","data":{"supports_preview_metadata":true}}');
    await client.event("feature_flags");
    await client.run(txt2img({ steps: 4, size: 768 }));
    const previews = client.frames.filter(
      (frame): frame is Extract<Frame, { binary: Buffer }> => "binary" in frame,
    );
    expect(previews).toHaveLength(4);
    for (const { binary } of previews) {
      expect(binary.readUInt32BE(0)).toBe(4);
      const { format, width, height } = await sharp(binary.subarray(8 + binary.readUInt32BE(4))).metadata();
      expect({ format, width, height }).toEqual({ format: "jpeg", width: 512, height: 512 });
    }
  });

  it.each(["none", "auto"])("heeds the preview method %s of a prompt over its own", async (method) => {
    await using engine = await startTestEngine({ previewMethod: method === "none" ? "auto" : "none" });
    await using client = await TestClient.connect(engine.url);
    await client.run(txt2img(), { extra_data: { preview_method: method } });
    expect(client.frames.filter((frame) => "binary" in frame)).toHaveLength(method === "none" ? 0 : 3);
  });

  it("tells a client that connects again which node of its prompt runs", async () => {
    await using engine = await startTestEngine();
    await using client = await TestClient.connect(engine.url);
    engine.faults.order({ type: "stall", classType: "KSampler" });
    await client.submit(txt2img());
    await client.frame((frame) => "type" in frame && at(frame.data, "node") === "3");
    const second = new WebSocket(`${engine.url.replace("http", "ws")}/ws?clientId=${client.id}`);
    const texts: string[] = [];
    second.on("message", (data) => texts.push(String(data)));
    while (texts.length < 2) {
      await once(second, "message", { signal: AbortSignal.timeout(PATIENCE_MS) });
    }
    expect(JSON.parse(texts[1] ?? "")).toEqual({ type: "executing", data: { node: "3" } });
    second.terminate();
    await once(second, "close");
  });

  it("serves other clients while one does not read", async () => {
    await using engine = await startTestEngine();
    await using client = await TestClient.connect(engine.url);
    const deaf = connect(engine.port, "127.0.0.1");
    deaf.pause();
    deaf.write(
      `GET /ws?clientId=deaf HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${Buffer.from("0123456789abcdef").toString("base64")}\r\nSec-WebSocket-Version: 13\r\n\r\n`,
    );
    const sent = await client.submit(txt2img({ steps: 60, size: 512 }), { client_id: "deaf" });
    expect(sent.status).toBe(200);
    const { record } = await client.run(txt2img({ seed: 2 }));
    expect(record).toMatchObject({ status: { status_str: "success" } });
    deaf.destroy();
  });

  it("fails a prompt that asks for more pixels than it can hold, and runs the next", async () => {
    await using engine = await startTestEngine();
    await using client = await TestClient.connect(engine.url);
    const { record } = await client.run(txt2img({ size: 16384 }));
    expect(at(record, "status", "messages", 2)).toMatchObject([
      "execution_error",
      { node_id: "5", exception_type: "torch.OutOfMemoryError" },
    ]);
    expect((await client.run(txt2img())).record).toMatchObject({ status: { status_str: "success" } });
  });

  it("takes no literal for what only a node can make", async () => {
    await using engine = await startTestEngine();
    await using client = await TestClient.connect(engine.url);
    const images = { kind: "IMAGE", images: [] };
    const { record } = await client.run({
      "9": { class_type: "SaveImage", inputs: { images, filename_prefix: "a" } },
    });
    expect(at(record, "status", "messages", 2)).toMatchObject(["execution_error", { node_id: "9" }]);
  });

  it("goes on answering while a large picture is drawn", async () => {
    await using engine = await startTestEngine();
    await using client = await TestClient.connect(engine.url);
    await client.submit(txt2img({ size: 2048 }), { extra_data: { preview_method: "none" } });
    await client.frame(
      (frame) => "type" in frame && frame.type === "progress" && at(frame.data, "value") === 3,
    );
    const { json } = await client.get("/api/queue");
    expect(at(json, "queue_running", 0, 1)).toBeDefined();
  });

  it("answers a request of a web page of another origin with 403", async () => {
    await using engine = await startTestEngine();
    const ask = (headers: Record<string, string>) => fetch(`${engine.url}/api/queue`, { headers });
    expect((await ask({ origin: "http://evil.example" })).status).toBe(403);
    expect((await ask({ origin: engine.url })).status).toBe(200);
  });

  it.each([
    ["GET", "/api/nothing", 404],
    ["GET", "/api/interrupt", 404],
    ["GET", "/jobs", 404],
    ["POST", "/api/nothing", 405],
  ])("answers %s %s with %i", async (method, path, status) => {
    await using engine = await startTestEngine();
    const response = await fetch(engine.url + path, { method });
    expect(response.status).toBe(status);
    expect(response.headers.get("content-type")).not.toContain("json");
  });

  it("fails to start on a port that is taken, and leaves nothing behind", async () => {
    await using engine = await startTestEngine();
    await using directory = await ownTemporaryDirectory();
    await expect(startTestEngine({ port: engine.port })).rejects.toThrow("EADDRINUSE");
    expect(await readdir(directory.path)).toEqual([]);
  });

  it("fails to start when that is aborted, and leaves nothing behind", async () => {
    await using directory = await ownTemporaryDirectory();
    const options = { logger: createLogger({ level: "silent" }) };
    await expect(startDemoEngine(options, AbortSignal.abort())).rejects.toThrow("aborted");
    expect(await readdir(directory.path)).toEqual([]);
  });

  it("ends at once when it is disposed of in the middle of a prompt, and removes its files", async () => {
    await using directory = await ownTemporaryDirectory();
    const engine = await startTestEngine({ stepMs: 60_000 });
    await using client = await TestClient.connect(engine.url);
    await client.submit(txt2img(), { prompt_id: randomUUID() });
    await client.frame((frame) => "type" in frame && at(frame.data, "node") === "3");
    expect(await readdir(directory.path)).toHaveLength(1);
    await engine[Symbol.asyncDispose]();
    await client.until(() => !client.isOpen);
    expect(await readdir(directory.path)).toEqual([]);
  });
});

async function pictureOf(client: TestClient, record: unknown): Promise<Buffer> {
  const file = at(record, "outputs", "9", "images", 0);
  const query = new URLSearchParams(Object.entries(file ?? {}).map(([key, value]) => [key, String(value)]));
  return (await client.get(`/api/view?${query}`)).body;
}

/** Makes temporary files of this process go to a directory of their own, until it is disposed of. */
async function ownTemporaryDirectory(): Promise<AsyncDisposable & { readonly path: string }> {
  const own = await mkdtemp(path.join(tmpdir(), "engine-test-"));
  vi.stubEnv("TMPDIR", own);
  return {
    path: own,
    [Symbol.asyncDispose]: async () => {
      vi.unstubAllEnvs();
      await rm(own, { recursive: true });
    },
  };
}
