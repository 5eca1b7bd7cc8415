import { describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { openConnectNodeGrpc, openGrpcWeb } from "../support/image-clients/connect.ts";
import { openGrpcJs } from "../support/image-clients/grpc-js.ts";
import type { ImageClient } from "../support/image-clients/image-client.ts";
import { collectEvents, expectOrderedEvents, imagesIn } from "../support/job-stream.ts";
import { readPng } from "../support/png.ts";
import { type JobEvent, parseGenerateResponse, parseHealth } from "../support/service-messages.ts";
import { startServiceFixture } from "../support/start-service.ts";

const callCount = 200;

interface Wish {
  readonly prompt: string;
  /** Far apart, and most of them above what a floating-point number holds exactly. */
  readonly seed: string;
}

const wishes = Array.from(
  { length: callCount },
  (_, i): Wish => ({
    prompt: `picture ${i} of “many”`,
    seed: `${BigInt.asUintN(64, BigInt(i + 1) * 0x9e37_79b9_7f4a_7c15n)}`,
  }),
);

/** What a call came to: its picture, and what it was told of its place in the queue. */
interface Outcome {
  readonly png: Buffer;
  readonly seed: bigint;
  readonly jobId: string;
  readonly places: readonly number[];
}

describe("200 calls at once on one backend", () => {
  it("all get their own picture, one after the other", async () => {
    await using fixture = await startServiceFixture();
    await using unary = await openGrpcJs(fixture.url);
    await using grpc = await openConnectNodeGrpc(fixture.url);
    await using web = await openGrpcWeb(fixture.url);
    fixture.engine.faults.order({ type: "stall" }); // until all are there, so that each waits for those before it
    const calls = wishes.map((wish, i) =>
      i % 3 === 0 ? generate(unary, wish) : watch(i % 3 === 1 ? grpc : web, wish),
    );
    await vi.waitFor(
      async () => {
        const { queuedJobCount, runningJobCount } = parseHealth(await unary.health(soon()));
        expect(queuedJobCount + runningJobCount).toBe(callCount);
      },
      { timeout: 20_000 },
    );
    fixture.engine.faults.clear();
    const outcomes = await Promise.all(calls);

    for (const [i, { png, seed }] of outcomes.entries()) {
      expect(seed).toBe(BigInt(wishes[i]?.seed ?? 0));
      expect(workOf(png)).toEqual(wishes[i]);
    }
    expect(new Set(outcomes.map(({ jobId }) => jobId)).size).toBe(callCount);
    expectSanePlaces(outcomes.map(({ places }) => places).filter(({ length }) => length > 0));
  });
});

async function generate(client: ImageClient, wish: Wish): Promise<Outcome> {
  const { images, result } = parseGenerateResponse(await client.generate(specOf(wish), {}, soon()));
  const image = images[0] ?? expect.fail("no image");
  return { png: image.data, seed: image.seed, jobId: result.jobId, places: [] };
}

async function watch(client: ImageClient, wish: Wish): Promise<Outcome> {
  const events = await collectEvents(client.generateWithProgress(specOf(wish), {}, soon()));
  expectOrderedEvents(events);
  const [received] = imagesIn(events);
  const { image, data } = received ?? expect.fail("no image");
  return { png: data, seed: image.seed, jobId: events[0]?.jobId ?? "", places: placesIn(events) };
}

function specOf(wish: Wish) {
  return { ...wish, widthPx: 64, heightPx: 64, steps: 2 };
}

function placesIn(events: readonly JobEvent[]): number[] {
  return events.flatMap(({ queued }) => queued?.jobsAhead ?? []);
}

/** No two jobs had the same place at first, none was beyond the end, and nobody was ever put back. */
function expectSanePlaces(places: readonly (readonly number[])[]): void {
  const first = places.map(([place = -1]) => place);
  expect(new Set(first).size).toBe(first.length);
  expect(Math.min(...first)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...first)).toBeLessThan(callCount);
  for (const ofOne of places) expect(ofOne).toEqual(ofOne.toSorted((a, b) => b - a));
}

const graph = z.record(
  z.string(),
  z.object({ class_type: z.string(), inputs: z.record(z.string(), z.unknown()) }),
);

/** The prompt and the seed that a picture was drawn with, by its own metadata. */
function workOf(png: Buffer): Wish {
  const text = readPng(png).texts.prompt ?? expect.fail("the picture does not say how it was made");
  const nodes = Object.values(graph.parse(JSON.parse(text)));
  const prompts = nodes
    .filter(({ class_type }) => class_type === "CLIPTextEncode")
    .map(({ inputs }) => inputs.text);
  // Digits as they are written, which numbers of JavaScript would round.
  const [[, seed = ""] = [], ...more] = [...text.matchAll(/"seed": ?(\d+)/g)];
  expect(more).toHaveLength(0);
  return { prompt: prompts.filter((prompt) => prompt !== "").join(), seed };
}

function soon(): AbortSignal {
  return AbortSignal.timeout(28_000);
}
