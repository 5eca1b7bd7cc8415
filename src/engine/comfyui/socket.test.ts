import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { setImmediate } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { createLogger } from "../../telemetry/logger.ts";
import { type ComfyUiEngineOptions, resolveOptions } from "./options.ts";
import { ComfyUiSocket } from "./socket.ts";

interface Peer {
  readonly socket: WebSocket;
  readonly request: IncomingMessage;
  readonly received: string[];
  readonly clientId: string;
}

/** A WebSocket server of which the test plays the other end, and a {@link ComfyUiSocket} that is connected to it. */
class Stage implements AsyncDisposable {
  readonly peers: Peer[] = [];
  readonly depths: number[] = [];
  readonly socket: ComfyUiSocket;
  readonly #server: WebSocketServer;
  #changed = Promise.withResolvers<void>();

  static async open(
    options: Partial<ComfyUiEngineOptions> & { basePath?: string; greet?: boolean } = {},
  ): Promise<Stage> {
    const server = new WebSocketServer({
      port: 0,
      host: "127.0.0.1",
      autoPong: options.pingIntervalMs === undefined,
    });
    await once(server, "listening");
    return new Stage(server, options);
  }

  private constructor(
    server: WebSocketServer,
    {
      basePath = "",
      greet = true,
      ...options
    }: Partial<ComfyUiEngineOptions> & { basePath?: string; greet?: boolean },
  ) {
    this.#server = server;
    server.on("connection", (socket, request) => {
      const clientId = new URL(request.url ?? "", "http://host").searchParams.get("clientId") ?? "";
      const peer: Peer = { socket, request, received: [], clientId };
      socket.on("message", (data) => {
        peer.received.push(String(data));
        this.#ring();
      });
      this.peers.push(peer);
      if (greet) {
        socket.send(status(0));
      }
      this.#ring();
    });
    const { port } = server.address() as AddressInfo;
    this.socket = new ComfyUiSocket(
      resolveOptions({ name: "test", baseUrl: `http://127.0.0.1:${port}${basePath}`, ...options }),
      {
        logger: createLogger({ level: "silent" }),
        random: () => 0,
        onQueueDepth: (depth) => {
          this.depths.push(depth);
          this.#ring();
        },
        onChange: () => this.#ring(),
      },
    );
  }

  /** Waits until `condition` holds. It is looked at whenever something has happened at either end. */
  async until(condition: () => boolean): Promise<void> {
    const timeout = AbortSignal.timeout(5_000);
    const failed = new Promise<never>((_resolve, reject) => {
      timeout.addEventListener("abort", () => reject(new Error("did not happen in time")));
    });
    failed.catch(() => {}); // of no interest once the condition holds
    while (!condition()) {
      await Promise.race([this.#changed.promise, failed]);
    }
  }

  get peer(): Peer {
    const peer = this.peers.at(-1);
    if (peer === undefined) {
      throw new Error("nobody has connected yet");
    }
    return peer;
  }

  /** Registers for a prompt and writes down what is told about it. */
  listen(promptId: string) {
    const told: string[] = [];
    const registration = this.socket.register(promptId, {
      onMessage: ({ type }) => {
        told.push(type);
        this.#ring();
      },
      onPreview: (nodeId, { data }) => {
        told.push(`preview of ${nodeId}: ${Buffer.from(data).toString()}`);
        this.#ring();
      },
      onDeaf: () => {
        told.push("deaf");
        this.#ring();
      },
    });
    return { told, registration };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.socket[Symbol.asyncDispose]();
    for (const { socket } of this.peers) {
      socket.terminate();
    }
    this.#server.close();
    await once(this.#server, "close");
  }

  #ring(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers();
    resolve();
  }
}

function status(queueRemaining: number): string {
  return JSON.stringify({
    type: "status",
    data: { status: { exec_info: { queue_remaining: queueRemaining } } },
  });
}

function text(type: string, data: object): string {
  return JSON.stringify({ type, data });
}

function unnamedPreview(image: string): Buffer {
  return Buffer.concat([Buffer.of(0, 0, 0, 1, 0, 0, 0, 1), Buffer.from(image)]);
}

describe("ComfyUiSocket", () => {
  it("introduces itself with its feature flags and counts as on once the server has spoken", async () => {
    await using stage = await Stage.open({ greet: false });
    await stage.until(() => stage.peers[0]?.received.length === 1);
    expect(JSON.parse(stage.peer.received[0] ?? "")).toEqual({
      type: "feature_flags",
      data: { supports_preview_metadata: true },
    });
    expect(stage.socket.verified).toBe(false);
    stage.peer.socket.send(status(4));
    await stage.until(() => stage.socket.verified);
    expect(stage.depths).toEqual([4]);
  });

  it("connects below the base path, with extra headers, without an origin and without compression", async () => {
    await using stage = await Stage.open({
      basePath: "/comfy/",
      headers: { "x-tenant": "a" },
      auth: { bearer: "t" },
    });
    await stage.until(() => stage.socket.verified);
    const { url, headers } = stage.peer.request;
    expect(url).toMatch(/^\/comfy\/ws\?clientId=[0-9a-f-]{36}$/);
    expect(headers).toMatchObject({ "x-tenant": "a", authorization: "Bearer t" });
    expect(headers).not.toHaveProperty("origin");
    expect(headers).not.toHaveProperty("sec-websocket-extensions");
  });

  it("passes messages on to whoever has registered for their prompt, and ignores all others", async () => {
    await using stage = await Stage.open();
    await stage.until(() => stage.socket.verified);
    const a = stage.listen("a");
    const b = stage.listen("b");
    expect(a.registration.clientId).toBe(stage.peer.clientId);
    for (const promptId of ["a", "stranger", "b", "a"]) {
      stage.peer.socket.send(text("execution_success", { prompt_id: promptId }));
    }
    stage.peer.socket.send(text("unheard_of", { prompt_id: "a" }));
    stage.peer.socket.send("no JSON");
    stage.peer.socket.send(Buffer.of(0, 0, 0, 99, 0, 0, 0, 0));
    b.registration[Symbol.dispose]();
    stage.peer.socket.send(status(1));
    await stage.until(() => stage.depths.includes(1));
    expect(a.told).toEqual(["execution_success", "execution_success"]);
  });

  it("gives a preview without a name to the prompt that runs, if that is one of its own", async () => {
    await using stage = await Stage.open();
    await stage.until(() => stage.socket.verified);
    const { told } = stage.listen("a");
    const { socket } = stage.peer;
    socket.send(unnamedPreview("before"));
    socket.send(text("executing", { node: "3", display_node: "3", prompt_id: "a" }));
    socket.send(unnamedPreview("mine"));
    socket.send(text("execution_success", { prompt_id: "a" }));
    socket.send(unnamedPreview("after"));
    socket.send(text("executing", { node: "3", prompt_id: "stranger" }));
    socket.send(unnamedPreview("a stranger's"));
    socket.send(status(1));
    await stage.until(() => stage.depths.includes(1));
    expect(told).toEqual(["executing", "preview of 3: mine", "execution_success"]);
  });

  it("comes back under another id, and tells those who will hear no more", async () => {
    await using stage = await Stage.open();
    await stage.until(() => stage.socket.verified);
    const first = stage.peer;
    const { told, registration } = stage.listen("a");
    first.socket.terminate();
    await stage.until(() => stage.peers.length === 2 && stage.socket.verified);
    expect(told).toEqual(["deaf"]);
    expect(registration.live).toBe(false);
    expect(stage.peer.clientId).not.toBe(first.clientId);
    expect(stage.listen("b").registration.clientId).toBe(stage.peer.clientId);
  });

  it("knows whether anything has come since a prompt was registered, and replaces a silent session", async () => {
    await using stage = await Stage.open();
    await stage.until(() => stage.socket.verified);
    const { registration } = stage.listen("a");
    expect(registration.frameCount).toBe(0);
    stage.peer.socket.send(status(1));
    await stage.until(() => stage.depths.includes(1));
    expect(registration.frameCount).toBe(1);
    registration.replaceSession();
    await stage.until(() => stage.peers.length === 2 && stage.socket.verified);
    registration.replaceSession(); // not the newer one
    expect(stage.socket.verified).toBe(true);
  });

  it("goes on when a silent connection cannot be ended", async () => {
    await using stage = await Stage.open();
    await stage.until(() => stage.socket.verified);
    const { registration } = stage.listen("a");
    using terminate = vi.spyOn(WebSocket.prototype, "terminate").mockImplementationOnce(() => {
      throw new Error("unexpected");
    });
    registration.replaceSession(); // vitest reports a rejection that nobody handles
    expect(terminate).toHaveBeenCalledOnce();
    await setImmediate();
    expect(stage.socket.verified).toBe(true);
  });

  it("replaces a connection that does not answer pings", async () => {
    await using stage = await Stage.open({ pingIntervalMs: 20 });
    await stage.until(() => stage.peers.length >= 2);
    expect(new Set(stage.peers.map(({ clientId }) => clientId)).size).toBe(stage.peers.length);
  });

  it("lets prompts wait for a first connection that is being made, and not for one that cannot be", async () => {
    await using stage = await Stage.open();
    await stage.socket.settled(AbortSignal.timeout(5_000));
    expect(stage.socket.verified).toBe(true);

    await using nowhere = new ComfyUiSocket(resolveOptions({ name: "test", baseUrl: "http://127.0.0.1:1" }), {
      logger: createLogger({ level: "silent" }),
      random: () => 0,
      onQueueDepth: () => {},
      onChange: () => {},
    });
    await nowhere.settled(AbortSignal.timeout(5_000));
    expect(nowhere.undecided).toBe(false);
    expect(nowhere.verified).toBe(false);
  });

  it("lets a prompt wait no longer than it wants to", async () => {
    await using stage = await Stage.open({ greet: false });
    const enough = new AbortController();
    const waited = stage.socket.settled(enough.signal);
    enough.abort();
    await waited;
    await stage.socket.settled(enough.signal);
    expect(stage.socket.undecided).toBe(true);
  });
});
