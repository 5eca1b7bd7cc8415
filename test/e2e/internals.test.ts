import { rm, truncate } from "node:fs/promises";
import { join } from "node:path";
import { type CallOptions, createClient, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { describe, expect, it } from "vitest";
import {
  type GenerateResponse,
  type GenerateWithProgressResponse,
  ImageService,
} from "../../gen/comfyrpc/v1/image_service_pb.js";
import type { FaultOrder } from "../../src/engine/demo/faults.ts";
import { connectImages, draw, type ImageClient, type SpecInit } from "../support/image-client.ts";
import { collectLog, type LogLines } from "../support/log-lines.ts";
import { expectNoLeak, failureOf, type RpcFailure } from "../support/rpc-failure.ts";
import { type ServiceFixture, startServiceFixture } from "../support/start-service.ts";
import { waitUntil } from "../support/wait-until.ts";

/** What callers and the log are told of what goes on inside, and what they are not. */

const spec: SpecInit = { prompt: "a red fox", widthPx: 64, heightPx: 64, steps: 4 };

/** Many chunks: noise of one step does not shrink. */
const largeSpec: SpecInit = { ...spec, widthPx: 1_408, heightPx: 1_408, steps: 1 };

/** As pino numbers it. */
const errorLevel = 50;

describe("an error that nobody expected", () => {
  it("tells callers its request id only, and the log the cause: somebody has removed an image", async () => {
    await using stage = await openStage();
    const { generate, generateWithProgress } = stage.client.rpc;
    for (const [id, call] of [
      ["call-1", (signal: CallOptions) => generate({ spec, requestId: "one" }, signal)],
      [
        "call-2",
        (signal: CallOptions) => Array.fromAsync(generateWithProgress({ spec, requestId: "two" }, signal)),
      ],
    ] as const) {
      const answer = await call(withId("first"));
      await rm(stage.fileOf(sha256In(answer)));
      expectInternal(await failureOf(call(withId(id))), id);
      const causes = stage.log.entries.filter(
        ({ level, requestId, err }) => level === errorLevel && requestId === id && err !== undefined,
      );
      expect(causes).toHaveLength(1);
      expect(JSON.stringify(causes)).toContain(sha256In(answer));
    }
    expect((await draw(stage.client, spec)).failure).toBeUndefined();
  });

  it("in the middle of an answer ends it, and tells the caller nothing of files", async () => {
    await using stage = await openStage();
    // So large that not all of it is on its way before the caller reads on.
    const chunked: SpecInit = { ...largeSpec, output: { inlineLimitBytes: 0 } };
    const read = async () => {
      for await (const { event } of stage.client.rpc.generateWithProgress(
        { spec: chunked },
        withId("call-4"),
      )) {
        if (event?.event.case === "image") {
          await truncate(stage.fileOf(event.event.value.image?.sha256 ?? ""));
        }
        expect(event?.event.case).not.toBe("completed");
      }
    };
    const failure = await failureOf(read());
    expect(failure).toMatchObject({ code: "Unavailable", reason: "STORE_UNAVAILABLE" });
    expect(failure.metadata).toMatchObject({ request_id: "call-4" });
    expectNoLeak(failure.everything);
    expect((await draw(stage.client, spec)).failure).toBeUndefined();
  });
});

describe("the log", () => {
  const prompt = "xylophone-4711 in the snow";
  const negativePrompt = "quokka-0815";

  it.each([
    ["has no prompts", {}],
    ["has prompts if that is wanted", { COMFYRPC_LOG_PROMPTS: "true" }],
  ])("%s", async (_, env) => {
    await using stage = await openStage(env);
    const own = { ...spec, prompt, negativePrompt };
    expect((await draw(stage.client, own)).failure).toBeUndefined();
    const faults: FaultOrder[] = [
      { type: "fail_node", classType: "CLIPTextEncode" },
      { type: "partial_validity" },
      { type: "out_of_memory", persistent: true, times: 9 },
      { type: "fail_accepted_prompt" },
      { type: "truncated_download", times: 9 },
    ];
    for (const fault of faults) {
      stage.engine.faults.order(fault);
      const { failure } = await draw(stage.client, { ...own, prompt: `${prompt} ${fault.type}` });
      expect(failure?.everything ?? "").not.toMatch(/xylophone|quokka/);
      stage.engine.faults.clear();
    }
    for (const change of [{ steps: 0 }, { sampler: "none" }, { prompt: `${prompt} `.repeat(500) }]) {
      const { failure } = await draw(stage.client, { ...own, ...change });
      expect(failure).toMatchObject({ code: "InvalidArgument" });
      expect(failure?.everything).not.toMatch(/xylophone|quokka/);
    }
    await stage.client.rpc.generate({ spec: own }, { timeoutMs: 1 }).catch(() => {}); // its deadline passes
    const request = { spec: own, requestId: "again" };
    await rm(stage.fileOf(sha256In(await stage.client.rpc.generate(request))));
    expect(await failureOf(stage.client.rpc.generate(request))).toMatchObject({ reason: "INTERNAL" });
    await waitUntil(() => stage.log.entries.some(({ msg }) => msg === "job failed"), "the job is logged");
    const told = /xylophone|quokka/.test(stage.log.text);
    expect(told).toBe("COMFYRPC_LOG_PROMPTS" in env);
  });

  it("says of each call its method, and its status as the caller got it", async () => {
    await using stage = await openStage();
    await stage.client.rpc.generate({ spec }, withId("good"));
    await failureOf(stage.client.rpc.generate({ spec: { ...spec, steps: 0 } }, withId("bad")));
    stage.engine.faults.order({ type: "fail_node" });
    await failureOf(Array.fromAsync(stage.client.rpc.generateWithProgress({ spec }, withId("failed"))));
    const calls = () => stage.log.entries.filter(({ msg }) => msg === "call");
    await waitUntil(() => calls().length >= 3, "three calls are logged");
    expect(calls().map(({ requestId, method, status }) => [requestId, method, status])).toEqual([
      ["good", "comfyrpc.v1.ImageService/Generate", "ok"],
      ["bad", "comfyrpc.v1.ImageService/Generate", "invalid_argument"],
      ["failed", "comfyrpc.v1.ImageService/GenerateWithProgress", "failed_precondition"],
    ]);
  });
});

describe("the request id of a caller", () => {
  const protocols: Readonly<
    Record<string, (baseUrl: string, sessionManager: Http2SessionManager) => Transport>
  > = {
    gRPC: (baseUrl, sessionManager) => createGrpcTransport({ baseUrl, sessionManager }),
    "gRPC-Web": (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }),
    Connect: (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }),
  };

  it.each(Object.entries(protocols))(
    "comes back in %s, in answers, errors and the log",
    async (_, transport) => {
      await using stage = await openStage();
      const sessionManager = new Http2SessionManager(stage.url);
      const client = createClient(ImageService, transport(stage.url, sessionManager));
      const returned: (string | null)[] = [];
      const withIdBack = (id: string) => ({
        ...withId(id),
        onHeader: (headers: Headers) => void returned.push(headers.get("x-request-id")),
      });
      await client.generate({ spec }, withIdBack("order-17/a"));
      await Array.fromAsync(client.generateWithProgress({ spec }, withIdBack("order-17/b")));
      expect(returned).toEqual(["order-17/a", "order-17/b"]);

      const bad = { spec: { ...spec, steps: 0 } };
      const unary = await failureOf(client.generate(bad, withId("order-17/c")));
      const streamed = await failureOf(
        Array.fromAsync(client.generateWithProgress(bad, withId("order-17/d"))),
      );
      expect([unary, streamed].map(({ metadata }) => metadata.request_id)).toEqual([
        "order-17/c",
        "order-17/d",
      ]);
      for (const id of ["order-17/a", "order-17/b", "order-17/c", "order-17/d"]) {
        await waitUntil(() => stage.log.entries.some(({ requestId }) => requestId === id), `${id} is logged`);
      }
      sessionManager.abort();
    },
  );

  it("is replaced if it could confuse a log or a header", async () => {
    await using stage = await openStage();
    for (const id of ["a b", "x".repeat(129), 'a"b', "{}"]) {
      const { metadata } = await failureOf(stage.client.rpc.generate({}, withId(id)));
      expect(metadata.request_id).toMatch(/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    }
  });
});

interface Stage extends ServiceFixture {
  readonly client: ImageClient;
  readonly log: LogLines;
  /** Where the service keeps an image. */
  fileOf(sha256: string): string;
}

async function openStage(env: Readonly<Record<string, string>> = {}): Promise<Stage> {
  await using opened = new AsyncDisposableStack();
  const log = collectLog("trace");
  const fixture = opened.use(await startServiceFixture({ logger: log.logger, env }));
  const client = opened.use(connectImages(fixture.url));
  const owned = opened.move();
  return {
    ...fixture,
    client,
    log,
    fileOf: (sha256) => join(fixture.dataDirectory, "blobs", sha256.slice(0, 2), sha256),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Hash of the first image in an answer, or in the events of one. */
function sha256In(answer: GenerateResponse | readonly GenerateWithProgressResponse[]): string {
  const images =
    "images" in answer
      ? answer.images
      : answer.map(({ event }) => (event?.event.case === "image" ? event.event.value.image : undefined));
  return images.find((image) => image !== undefined)?.sha256 ?? expect.fail("no image");
}

/** Expects what a caller gets of an error that nobody expected: no word more than needed to find it in the log. */
function expectInternal(failure: RpcFailure, requestId: string): void {
  expect(failure).toMatchObject({
    code: "Internal",
    reason: "INTERNAL",
    message: `internal error; the log of the server has more under request id ${requestId}`,
    metadata: { request_id: requestId },
    fields: [],
    nodes: [],
  });
  expectNoLeak(failure.everything);
}

function withId(id: string): CallOptions {
  return { headers: { "x-request-id": id }, timeoutMs: 20_000 };
}
