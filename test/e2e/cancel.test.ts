import { connect as connectTcp } from "node:net";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { askEngine } from "../support/engine-account.ts";
import { hasEvent, isCancelled, lastStepOf } from "../support/engine-tap.ts";
import { envelope } from "../support/envelopes.ts";
import { connectHttp2 } from "../support/http2-client.ts";
import { openGrpcJs } from "../support/image-clients/grpc-js.ts";
import {
  CallError,
  failureOf,
  type ImageClient,
  type ImageClientKind,
  type Json,
} from "../support/image-clients/image-client.ts";
import {
  bufCurlGrpc,
  connectNode,
  connectNodeGrpc,
  connectWeb,
  curl,
  grpcJs,
  grpcWeb,
} from "../support/image-clients/kinds.ts";
import { decodeConnectDetails } from "../support/image-clients/status-details.ts";
import { untilJobs } from "../support/job-counts.ts";
import { errorInfoIn, parseGenerateResponse } from "../support/service-messages.ts";
import { startTappedService, type TappedService } from "../support/start-tapped-service.ts";

/** The step before which the engine stands still until the test lets it go on. */
const heldStep = 5;
const longSpec = { prompt: "a fox", widthPx: 64, heightPx: 64, steps: 150 };
const shortSpec = { ...longSpec, steps: 8 };

type Leave = (url: string, spec: Json, signal: AbortSignal) => Promise<unknown>;

const unary =
  ({ open }: ImageClientKind): Leave =>
  async (url, spec, signal) => {
    await using client = await open(url);
    return await client.generate(spec, {}, signal);
  };

const streaming =
  ({ open }: ImageClientKind): Leave =>
  async (url, spec, signal) => {
    await using client = await open(url);
    return await Array.fromAsync(client.generateWithProgress(spec, {}, signal));
  };

const waysToLeave: readonly (readonly [how: string, leave: Leave])[] = [
  ["cancels a call of grpc-js", unary(grpcJs)],
  ["cancels a stream of grpc-js", streaming(grpcJs)],
  ["aborts a stream of Connect over HTTP/1.1", streaming(connectWeb)],
  ["aborts a stream of gRPC-Web over HTTP/1.1", streaming(grpcWeb)],
  ["aborts a stream of Connect over HTTP/2", streaming(connectNode)],
  ["aborts a call of gRPC over HTTP/2", unary(connectNodeGrpc)],
  ["is a gRPC client whose process is killed", streaming(bufCurlGrpc)],
  ...curl.map((kind) => ["is a curl that is killed", unary(kind)] as const),
  ["loses its HTTP/2 connection", loseHttp2Connection],
  ["loses its HTTP/1.1 connection", loseHttp1Connection],
];

describe("a caller that goes away", () => {
  it.each(waysToLeave)("stops its prompt before the next step: one that %s", async (_, leave) => {
    await using stage = await startHeld();
    const leaving = new AbortController();
    const call = leave(stage.url, longSpec, leaving.signal).catch((error: unknown) => error);
    const promptId = await heldPrompt(stage);

    leaving.abort();
    await stage.tap.until((entries) => isCancelled(entries, promptId));
    stage.engine.faults.clear();
    await stage.tap.until((entries) => hasEvent(entries, "execution_interrupted", promptId));

    expect(lastStepOf(stage.tap.entries, promptId)).toBeLessThan(heldStep);
    expect(await call).toBeInstanceOf(Error);
    await expectNothingLeft(stage);
    expect((await askEngine(stage.engine.url)).ended).toEqual({ [promptId]: "execution_interrupted" });
    expect(stage.tap.submitted()).toEqual([promptId]);
  });
});

describe("of three callers, with two prompts at the engine", () => {
  it.each([
    ["runs", 0],
    ["waits at the engine", 1],
    ["waits in the service", 2],
  ])("only the one that leaves is stopped: the one that %s", async (_, leaver) => {
    await using stage = await startHeld();
    await using client = await openGrpcJs(stage.url);
    const leavings = [0, 1, 2].map(() => new AbortController());
    const calls: Promise<unknown>[] = [];
    for (const [i, { signal }] of leavings.entries()) {
      calls.push(startDrawing(client, `${i}`, signal));
      await stage.tap.until(() => stage.tap.submitted().length === Math.min(i + 1, 2));
      await untilJobs(stage.url, { running: Math.min(i + 1, 2), queued: Math.max(0, i - 1) });
    }
    const promptId = await heldPrompt(stage);

    leavings[leaver]?.abort();
    const failure = await failureOf(calls[leaver] ?? expect.fail());
    expect(failure.code).toBe("cancelled");
    const leaverId = stage.tap.submitted()[leaver];
    if (leaverId === undefined) await untilJobs(stage.url, { running: 2 });
    else await stage.tap.until((entries) => isCancelled(entries, leaverId));
    stage.engine.faults.clear();

    const others = calls.filter((_, i) => i !== leaver);
    for (const answer of await Promise.all(others)) {
      expect(parseGenerateResponse(answer).result.attemptCount).toBe(1);
    }
    await expectNothingLeft(stage);
    const { entries } = stage.tap;
    const ids = stage.tap.submitted();
    expect(ids).toHaveLength(leaver === 2 ? 2 : 3);
    expect(ids[0]).toBe(promptId);
    expect(ids.filter((id) => isCancelled(entries, id))).toEqual(leaverId === undefined ? [] : [leaverId]);
    const expectedRuns = ids.filter((id) => id !== leaverId || leaver === 0);
    expect(ids.filter((id) => hasEvent(entries, "execution_start", id))).toEqual(expectedRuns);
  });
});

describe("a deadline", () => {
  const kinds = [grpcJs, connectWeb, grpcWeb, connectNode, connectNodeGrpc, ...curl];

  it.concurrent.each(kinds)("stops a prompt that runs: $name", async ({ open }) => {
    await using stage = await startHeld();
    await using client = await open(stage.url);
    const failure = await failureOf(client.generate(longSpec, { timeoutMs: 1_500 }, never()));
    expect(failure.code).toBe("deadline_exceeded");
    stage.engine.faults.clear();
    await expectNothingLeft(stage);
    const { entries } = stage.tap;
    expect(stage.tap.submitted().filter((id) => hasEvent(entries, "execution_success", id))).toEqual([]);
  });

  it("ends calls that wait in the service, which the engine never hears of", async () => {
    await using stage = await startHeld();
    await using client = await openGrpcJs(stage.url);
    const ahead = ["1", "2"].map((seed) => startDrawing(client, seed, never()));
    await stage.tap.until(() => stage.tap.submitted().length === 2);

    const failures = await Promise.all(
      kinds.map(async ({ open }) => {
        await using waiting = await open(stage.url);
        return await failureOf(waiting.generate(shortSpec, { timeoutMs: 1_000 }, never()));
      }),
    );
    expect(failures.map(({ code }) => code)).toEqual(kinds.map(() => "deadline_exceeded"));
    await untilJobs(stage.url, { running: 2 });
    stage.engine.faults.clear();
    await Promise.all(ahead);
    await expectNothingLeft(stage);
    expect(stage.tap.submitted()).toHaveLength(2);
  });

  it("is what the service gives as the reason, every time, to a client that does not count itself", async () => {
    await using stage = await startHeld();
    const calls = Array.from({ length: 50 }, (_, i) => postWithDeadline(stage.url, 400 + 3 * i));
    const reasons = (await Promise.all(calls)).map(({ code, details }) => [
      code,
      errorInfoIn(details).reason,
    ]);
    expect(reasons).toEqual(calls.map(() => ["deadline_exceeded", "JOB_TIMEOUT"]));
  });
});

/** Calls `Generate` with nothing but `fetch`, and returns how that failed. */
async function postWithDeadline(url: string, timeoutMs: number): Promise<CallError> {
  const response = await fetch(`${url}/comfyrpc.v1.ImageService/Generate`, {
    method: "POST",
    headers: { "content-type": "application/json", "connect-timeout-ms": `${timeoutMs}` },
    body: JSON.stringify({ spec: longSpec }),
  });
  const { code, details } = z.object({ code: z.string(), details: z.unknown() }).parse(await response.json());
  return new CallError(code, "", await decodeConnectDetails(details));
}

/** A service whose engine stands still in the first prompt, before step {@link heldStep}, until its faults are cleared. */
async function startHeld(): Promise<TappedService> {
  const stage = await startTappedService({ stepMs: 30 });
  stage.engine.faults.order({ type: "stall", classType: "KSampler", step: heldStep });
  return stage;
}

/** Waits until the engine stands still, and returns the id of its prompt. */
async function heldPrompt({ tap }: TappedService): Promise<string> {
  await tap.until((entries) => lastStepOf(entries, tap.submitted()[0] ?? "") === heldStep - 1);
  return tap.submitted()[0] ?? "";
}

/** Makes a call that the test awaits later, if it comes that far. */
function startDrawing(client: ImageClient, seed: string, signal: AbortSignal): Promise<unknown> {
  const call = client.generate({ ...shortSpec, seed }, {}, signal);
  call.catch(() => {});
  return call;
}

/** Waits until the service and the engine have nothing to do any more. */
async function expectNothingLeft({ url, engine }: TappedService): Promise<void> {
  await untilJobs(url, {});
  expect(await askEngine(engine.url)).toMatchObject({ running: [], pending: [] });
}

/** For calls that end by themselves; bounds them all the same. */
function never(): AbortSignal {
  return AbortSignal.timeout(25_000);
}

async function loseHttp2Connection(url: string, spec: Json, signal: AbortSignal): Promise<never> {
  using session = await connectHttp2(url);
  const stream = session.request({
    ":method": "POST",
    ":path": "/comfyrpc.v1.ImageService/GenerateWithProgress",
    "content-type": "application/connect+json",
  });
  stream.on("error", () => {});
  stream.resume().end(envelope(Buffer.from(JSON.stringify({ spec }))));
  await aborted(signal);
  session.destroy();
  throw new Error("the connection is gone");
}

async function loseHttp1Connection(url: string, spec: Json, signal: AbortSignal): Promise<never> {
  const { port, hostname, host } = new URL(url);
  const socket = connectTcp(Number(port), hostname);
  const body = JSON.stringify({ spec });
  socket.write(
    `POST /comfyrpc.v1.ImageService/Generate HTTP/1.1\r\nhost: ${host}\r\n` +
      `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  await aborted(signal);
  socket.resetAndDestroy();
  throw new Error("the connection is gone");
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
