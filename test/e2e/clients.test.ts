import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { failureOf, type ImageClient } from "../support/image-clients/image-client.ts";
import { allKinds } from "../support/image-clients/kinds.ts";
import { collectEvents, expectOrderedEvents, expectWhole, imagesIn, kindOf } from "../support/job-stream.ts";
import { readPng } from "../support/png.ts";
import { badFieldsIn, errorInfoIn, parseGenerateResponse, parseHealth } from "../support/service-messages.ts";
import { type ServiceFixture, startServiceFixture } from "../support/start-service.ts";

/** The largest seed, which no floating-point number holds. */
const largestSeed = "18446744073709551615";
const spec = { prompt: "a lighthouse at dusk", widthPx: 96, heightPx: 64, steps: 3, seed: largestSeed };

const soon = () => AbortSignal.timeout(20_000);

let fixture: ServiceFixture;

beforeAll(async () => {
  fixture = await startServiceFixture({ engine: { stepMs: 15 } });
});

afterAll(() => fixture?.[Symbol.asyncDispose]());

describe.each(allKinds)("$name", ({ open }) => {
  let client: ImageClient;
  beforeAll(async () => {
    client = await open(fixture.url);
  });

  afterAll(() => client?.[Symbol.asyncDispose]());

  it("gets an image in one message, drawn with the seed that it asked for", async () => {
    const { images, result } = parseGenerateResponse(await client.generate(spec, {}, soon()));
    expect(images).toMatchObject([
      { index: 0, format: "IMAGE_FORMAT_PNG", mediaType: "image/png", widthPx: 96, heightPx: 64 },
    ]);
    const image = images[0] ?? expect.fail("no image");
    expect(image.seed).toBe(2n ** 64n - 1n);
    expect(result).toMatchObject({ attemptCount: 1, resolvedSpec: spec });
    expectWhole(image, image.data);
    const { widthPx, heightPx, texts } = readPng(image.data);
    expect({ widthPx, heightPx }).toEqual({ widthPx: 96, heightPx: 64 });
    expect(texts.prompt).toMatch(new RegExp(`"seed": ?${largestSeed}\\b`));
  });

  it("sees the events of a job in order, with previews, and the image in chunks", async () => {
    fixture.engine.faults.order({ type: "stall", classType: "KSampler", step: 8 }); // until a preview is there
    const events = await collectEvents(
      client.generateWithProgress(
        { ...spec, steps: 8, preview: { maxSidePx: 64 }, output: { inlineLimitBytes: 100 } },
        {},
        soon(),
      ),
      (event) => event.preview !== undefined && fixture.engine.faults.clear(),
    );
    expectOrderedEvents(events);
    const previews = events.flatMap(({ preview }) => preview ?? []);
    expect(previews[0]).toMatchObject({ format: "IMAGE_FORMAT_JPEG", imageIndex: 0 });
    expect(previews[0]?.data.subarray(0, 2)).toEqual(Buffer.of(0xff, 0xd8));
    expect(events.map(kindOf)).toContain("imageChunk");
    const sizes = imagesIn(events).map(({ data }) => readPng(data));
    expect(sizes).toMatchObject([{ widthPx: 96, heightPx: 64 }]);
  });

  it("sends the resolved spec again and gets the same work", async () => {
    const wish = { prompt: "a harbour", widthPx: 64, heightPx: 64, steps: 2 };
    const { result: first } = parseGenerateResponse(await client.generate(wish, {}, soon()));
    const { result: second } = parseGenerateResponse(await client.generate(first.resolvedSpec, {}, soon()));
    expect(second.resolvedSpec).toEqual(first.resolvedSpec);
    expect(second.images[0]?.seed).toBe(first.images[0]?.seed);
    expect(second.graphSha256).toBe(first.graphSha256);
    expect(second.jobId).not.toBe(first.jobId);
  });

  it("asks how the service does", async () => {
    expect(parseHealth(await client.health(soon()))).toMatchObject({
      ready: true,
      backends: [{ backend: { name: "comfyui", builtIn: true }, state: "BACKEND_STATE_UP" }],
    });
  });

  const badSpec = { prompt: "a fox", widthPx: 65, loras: [{ name: "demo-neon.safetensors" }, {}] };

  it.each([
    ["one message", () => client.generate(badSpec, {}, soon())],
    ["a stream", () => collectEvents(client.generateWithProgress(badSpec, {}, soon()))],
  ])("learns what is wrong with a request for %s", async (_, call) => {
    const { code, details } = await failureOf(call());
    expect(code).toBe("invalid_argument");
    expect(errorInfoIn(details)).toMatchObject({ domain: "comfyrpc", reason: "INVALID_FIELD" });
    expect(badFieldsIn(details)).toEqual(["spec.width_px", "spec.loras[1].name"]);
  });
});
