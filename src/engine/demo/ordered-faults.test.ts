import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { FaultOrder } from "./faults.ts";
import { at, startTestEngine, TestClient, txt2img } from "./testing/test-client.ts";

/** Starts an engine and a client, orders a fault and hands all to `test`. */
async function withFault(
  order: FaultOrder,
  test: (client: TestClient, engine: Awaited<ReturnType<typeof startTestEngine>>) => Promise<void>,
): Promise<void> {
  await using engine = await startTestEngine();
  await using client = await TestClient.connect(engine.url);
  engine.faults.order(order);
  await test(client, engine);
}

const lastMessage = (record: unknown) => {
  const messages = at(record, "status", "messages");
  return Array.isArray(messages) ? messages.at(-1) : undefined;
};

const viewPath = (record: unknown) => {
  const file = at(record, "outputs", "9", "images", 0);
  return `/api/view?${new URLSearchParams(Object.entries(file ?? {}).map(([key, value]) => [key, String(value)]))}`;
};

/** Asks again until the answer is as wanted. */
async function eventually<T>(ask: () => Promise<T>, wanted: (answer: T) => boolean): Promise<T> {
  const signal = AbortSignal.timeout(10_000);
  for (;;) {
    const answer = await ask();
    if (wanted(answer)) {
      return answer;
    }
    signal.throwIfAborted();
  }
}

describe("an ordered fault", () => {
  it("drop_socket cuts the client's socket at its step, while the prompt runs on", () =>
    withFault({ type: "drop_socket", step: 2 }, async (client) => {
      const promptId = randomUUID();
      await client.submit(txt2img(), { prompt_id: promptId });
      await client.until(() => !client.isOpen);
      const steps = client.frames.filter((frame) => "type" in frame && frame.type === "progress");
      expect(steps).toHaveLength(1);
      const job = await eventually(
        () => client.get(`/api/jobs/${promptId}`),
        ({ json }) => at(json, "status") === "completed",
      );
      expect(at(job.json, "outputs_count")).toBe(1);
    }));

  it("drop_socket for all cuts strangers too, and new sockets work", () =>
    withFault({ type: "drop_socket", whose: "all" }, async (client, engine) => {
      await using stranger = await TestClient.connect(engine.url);
      await client.submit(txt2img());
      await stranger.until(() => !stranger.isOpen);
      await using late = await TestClient.connect(engine.url);
      await late.event("status");
    }));

  it("mute_socket leaves the socket open and sends nothing more on it", () =>
    withFault({ type: "mute_socket", classType: "KSampler" }, async (client, engine) => {
      await using observer = await TestClient.connect(engine.url);
      const promptId = randomUUID();
      await client.submit(txt2img(), { prompt_id: promptId });
      await eventually(
        () => client.get(`/api/history/${promptId}`),
        ({ json }) => at(json, promptId) !== undefined,
      );
      await observer.event("status");
      expect(client.isOpen).toBe(true);
      expect(client.frames.some((frame) => "type" in frame && frame.type === "execution_success")).toBe(
        false,
      );
    }));

  it("stall stops the worker until it is cleared, while HTTP goes on", () =>
    withFault({ type: "stall", classType: "VAEDecode" }, async (client, engine) => {
      const answer = await client.submit(txt2img());
      const promptId = String(at(answer.json, "prompt_id"));
      await client.frame((frame) => "type" in frame && at(frame.data, "node") === "8");
      await client.post("/api/interrupt", { prompt_id: promptId });
      expect(at((await client.get("/demo/faults")).json, "stalled")).toBe(true);
      expect(at((await client.get(`/api/jobs/${promptId}`)).json, "status")).toBe("in_progress");
      engine.faults.clear();
      await client.event("execution_interrupted");
    }));

  it("restart loses queue, history and sockets, and serves again", () =>
    withFault(
      { type: "restart", step: 1, promptId: "22222222-2222-4222-8222-222222222222" },
      async (client, engine) => {
        const { id } = await client.run(txt2img());
        const doomed = "22222222-2222-4222-8222-222222222222";
        await client.submit(txt2img({ seed: 2 }), { prompt_id: doomed });
        await client.until(() => !client.isOpen);
        await using again = await TestClient.connect(engine.url);
        for (const lost of [id, doomed]) {
          expect((await again.get(`/api/jobs/${lost}`)).status).toBe(404);
        }
        expect((await again.get("/api/queue")).json).toEqual({ queue_running: [], queue_pending: [] });
        const next = await again.submit(txt2img());
        expect(at(next.json, "number")).toBe(0);
        await again.over(String(at(next.json, "prompt_id")));
      },
    ));

  it("restart with a time to be down refuses connections meanwhile", () =>
    withFault({ type: "restart", now: true, downMs: 600_000 }, async (client, engine) => {
      await expect(client.get("/api/queue")).rejects.toThrow("fetch failed");
      await expect(TestClient.connect(engine.url)).rejects.toThrow();
      expect((await client.delete("/demo/faults")).status).toBe(204);
      expect((await client.get("/api/queue")).status).toBe(200);
    }));

  it("refuse answers with a page of HTML, or not at all", () =>
    withFault({ type: "refuse", now: true, how: "unavailable", forMs: 600_000 }, async (client, engine) => {
      const answer = await client.get("/api/prompt");
      expect(answer.status).toBe(503);
      expect(answer.headers.get("content-type")).toBe("text/html");
      engine.faults.order({ type: "refuse", now: true, how: "reset", forMs: 600_000 });
      await expect(client.get("/api/prompt")).rejects.toThrow("fetch failed");
    }));

  it("refuse ends by itself", () =>
    withFault({ type: "refuse", now: true, how: "unavailable", forMs: 20 }, async (client) => {
      await eventually(
        () => client.get("/api/prompt"),
        ({ status }) => status === 200,
      );
    }));

  it("refuse_prompt answers 500 and queues nothing", () =>
    withFault({ type: "refuse_prompt" }, async (client) => {
      const promptId = randomUUID();
      const answer = await client.submit(txt2img(), { prompt_id: promptId });
      expect(answer).toMatchObject({ status: 500, json: undefined });
      expect((await client.get(`/api/jobs/${promptId}`)).status).toBe(404);
      expect((await client.run(txt2img())).record).toMatchObject({ status: { completed: true } });
    }));

  it("fail_accepted_prompt answers 500 and runs the prompt", () =>
    withFault({ type: "fail_accepted_prompt" }, async (client) => {
      const promptId = randomUUID();
      const answer = await client.submit(txt2img(), { prompt_id: promptId });
      expect(answer.status).toBe(500);
      await client.over(promptId);
    }));

  it("reset_accepted_prompt resets the connection and runs the prompt", () =>
    withFault({ type: "reset_accepted_prompt" }, async (client) => {
      const promptId = randomUUID();
      await expect(client.submit(txt2img(), { prompt_id: promptId })).rejects.toThrow("fetch failed");
      await client.over(promptId);
    }));

  it("out_of_memory fails the sampler until memory is freed", () =>
    withFault({ type: "out_of_memory", times: 100 }, async (client) => {
      const { record } = await client.run(txt2img());
      expect(lastMessage(record)).toMatchObject([
        "execution_error",
        { node_id: "3", node_type: "KSampler", exception_type: "torch.OutOfMemoryError" },
      ]);
      await client.run(txt2img());
      await client.post("/api/free", { unload_models: true });
      expect((await client.run(txt2img())).record).toMatchObject({ status: { status_str: "success" } });
    }));

  it("fail_node fails the node named, with a traceback that leaks a path", () =>
    withFault({ type: "fail_node", classType: "VAEDecode", message: "boom" }, async (client) => {
      const { record } = await client.run(txt2img());
      expect(lastMessage(record)).toMatchObject([
        "execution_error",
        {
          node_id: "8",
          exception_type: "ValueError",
          exception_message: "boom\n",
          executed: expect.any(Array),
        },
      ]);
      expect(JSON.stringify(at(record, "status"))).toContain("/opt/ComfyUI/");
    }));

  it("interrupt ends a prompt that nobody has cancelled", () =>
    withFault({ type: "interrupt", step: 2 }, async (client) => {
      const { record } = await client.run(txt2img());
      expect(lastMessage(record)).toMatchObject(["execution_interrupted", { node_id: "3" }]);
    }));

  it("partial_validity finds fault with an output node and runs the others", () =>
    withFault({ type: "partial_validity", nodeId: "10" }, async (client) => {
      const graph = { ...txt2img(), "10": { class_type: "PreviewImage", inputs: { images: ["8", 0] } } };
      const answer = await client.submit(graph);
      expect(answer.status).toBe(200);
      expect(answer.json).toMatchObject({
        node_errors: { "10": { class_type: "PreviewImage", dependent_outputs: ["10"] } },
      });
      await client.over(String(at(answer.json, "prompt_id")));
      const record = await client.get(`/api/history/${at(answer.json, "prompt_id")}`);
      expect(Object.keys(Object(at(record.json, String(at(answer.json, "prompt_id")), "outputs")))).toEqual([
        "9",
      ]);
    }));

  it("partial_validity of the only output node runs all but that node", () =>
    withFault({ type: "partial_validity" }, async (client) => {
      const { record } = await client.run(txt2img());
      expect(record).toMatchObject({ status: { status_str: "success" }, outputs: {} });
      expect(client.frames.some((frame) => "type" in frame && frame.type === "progress")).toBe(true);
    }));

  it("lose_output answers 404 for the file of a prompt, once", () =>
    withFault({ type: "lose_output" }, async (client) => {
      const { record } = await client.run(txt2img());
      expect((await client.get(viewPath(record))).status).toBe(404);
      expect((await client.get(viewPath(record))).status).toBe(200);
    }));

  it("slow_download sends the whole file, no faster than ordered", () =>
    withFault({ type: "slow_download", bytesPerSecond: 1 }, async (client, engine) => {
      const { record } = await client.run(txt2img());
      const response = await fetch(engine.url + viewPath(record));
      const reader = response.body?.getReader();
      const first = await reader?.read();
      expect(first?.value?.length).toBe(1);
      expect(Number(response.headers.get("content-length"))).toBeGreaterThan(1000);
      await reader?.cancel();
    }));

  it("truncated_download announces the whole length and sends less", () =>
    withFault({ type: "truncated_download", afterBytes: 100 }, async (client, engine) => {
      const { record } = await client.run(txt2img());
      const response = await fetch(engine.url + viewPath(record));
      expect(Number(response.headers.get("content-length"))).toBeGreaterThan(1000);
      await expect(response.arrayBuffer()).rejects.toThrow("terminated");
      expect((await client.get(viewPath(record))).status).toBe(200);
    }));

  it("late_history shows a prompt as running until its record appears", () =>
    withFault({ type: "late_history", delayMs: 100 }, async (client) => {
      const { id, record } = await client.run(txt2img());
      expect(record).toBeUndefined();
      expect(at((await client.get(`/api/jobs/${id}`)).json, "status")).toBe("in_progress");
      await eventually(
        () => client.get(`/api/jobs/${id}`),
        ({ json }) => at(json, "status") === "completed",
      );
    }));

  it("can be ordered, listed and cleared over HTTP", async () => {
    await using engine = await startTestEngine();
    await using client = await TestClient.connect(engine.url);
    const order = await client.post("/demo/faults", { type: "lose_output", times: 3 });
    expect(order.status).toBe(200);
    await eventually(
      () => client.get("/demo/faults"),
      ({ json }) => at(json, "pending", 0, "times") === 3,
    );
    expect((await client.delete("/demo/faults")).status).toBe(204);
    expect(engine.faults.pending()).toEqual([]);
    expect(await client.post("/demo/faults", { type: "explode" })).toMatchObject({ status: 400 });
  });
});
