import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openGrpcJs } from "../support/image-clients/grpc-js.ts";
import { failureOf, type ImageClient, type Json } from "../support/image-clients/image-client.ts";
import { collectEvents, expectOrderedEvents, expectWhole, imagesIn } from "../support/job-stream.ts";
import { readPng } from "../support/png.ts";
import { errorInfoIn, type GenerateResponse, parseGenerateResponse } from "../support/service-messages.ts";
import { type ServiceFixture, startServiceFixture } from "../support/start-service.ts";

const spec = { prompt: "a balloon over the sea", widthPx: 128, heightPx: 96, steps: 3, seed: "7" };

let fixture: ServiceFixture;
let client: ImageClient;

beforeAll(async () => {
  fixture = await startServiceFixture();
  client = await openGrpcJs(fixture.url);
});

afterAll(async () => {
  await client?.[Symbol.asyncDispose]();
  await fixture?.[Symbol.asyncDispose]();
});

describe("the format of images", () => {
  it.each([
    { format: "IMAGE_FORMAT_JPEG", mediaType: "image/jpeg", decoded: { format: "jpeg" } },
    { format: "IMAGE_FORMAT_WEBP", mediaType: "image/webp", decoded: { format: "webp" } },
    { format: "IMAGE_FORMAT_AVIF", mediaType: "image/avif", decoded: { format: "heif", compression: "av1" } },
  ])("can be $mediaType, smaller at a lower quality", async ({ format, mediaType, decoded }) => {
    const sizesBytes: number[] = [];
    for (const quality of [10, 95]) {
      const { images } = await draw({ output: { format, quality } });
      const image = images[0] ?? expect.fail("no image");
      expect(image).toMatchObject({ format, mediaType, widthPx: 128, heightPx: 96, seed: 7n });
      expectWhole(image, image.data);
      expect(await sharp(image.data).metadata()).toMatchObject({ ...decoded, width: 128, height: 96 });
      sizesBytes.push(image.data.length);
    }
    expect(sizesBytes[0]).toBeLessThan(sizesBytes[1] ?? 0);
  });

  it("shows the same picture in each", async () => {
    const original = await coarse(await imageOf(spec));
    for (const format of ["IMAGE_FORMAT_JPEG", "IMAGE_FORMAT_WEBP", "IMAGE_FORMAT_AVIF"]) {
      const encoded = await coarse(await imageOf({ ...spec, output: { format, quality: 95 } }));
      expect(meanDifference(original, encoded)).toBeLessThan(6);
    }
  });

  it("is PNG with the metadata of the backend unless another one is asked for", async () => {
    const { texts } = readPng(await imageOf({ ...spec, seed: "8" }));
    expect(texts.prompt).toContain(spec.prompt);
  });
});

describe("several images", () => {
  it("are drawn with consecutive seeds, each as it would be alone, also past the largest seed", async () => {
    const seeds = [2n ** 64n - 2n, 2n ** 64n - 1n, 0n];
    const { images } = await draw({ imageCount: 3, seed: `${seeds[0]}` });
    expect(images.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(images.map(({ seed }) => seed)).toEqual(seeds);
    const pictures = await Promise.all(images.map(({ data }) => decode(data)));
    for (const [i, seed] of seeds.entries()) {
      const alone = await pixelsOf({ ...spec, seed: `${seed}` });
      expect(pictures[i]?.equals(alone)).toBe(true);
    }
    expect(pictures[0]?.equals(pictures[1] ?? Buffer.alloc(0))).toBe(false);
  });
});

describe("the picture", () => {
  it("is the same for the same spec", async () => {
    expect((await pixelsOf(spec)).equals(await pixelsOf(spec))).toBe(true);
  });

  it.each<[what: string, change: Json]>([
    ["another seed", { seed: "8" }],
    ["a LoRA", { loras: [{ name: "demo-neon.safetensors" }] }],
    ["a negative prompt", { negativePrompt: "blurry, low quality" }],
    ["a negative prompt about what the prompt does not name", { negativePrompt: "clouds" }],
    ["skipped CLIP layers", { clipSkip: 2 }],
    ["a VAE", { vae: "demo-vae.safetensors" }],
    ["another checkpoint", { model: "demo-sdxl.safetensors" }],
    ["other steps", { steps: 4 }],
    ["another guidance", { cfg: 12 }],
    ["another sampler", { sampler: "euler_a" }],
    ["another scheduler", { scheduler: "karras" }],
  ])("changes with %s", async (_, change) => {
    expect((await pixelsOf({ ...spec, ...change })).equals(await pixelsOf(spec))).toBe(false);
  });

  it("changes with the strength of a LoRA, on the model and on the text encoder", async () => {
    const [full, weaker, weakerClip] = await Promise.all(
      [{}, { modelStrength: 0.5 }, { modelStrength: 1, clipStrength: 0.5 }].map((strength) =>
        pixelsOf({ ...spec, loras: [{ name: "demo-neon.safetensors", ...strength }] }),
      ),
    );
    expect(weaker?.equals(full ?? Buffer.alloc(0))).toBe(false);
    expect(weakerClip?.equals(full ?? Buffer.alloc(0))).toBe(false);
  });

  it("has the native size of its model unless told otherwise", async () => {
    const { images } = await draw({
      model: "demo-sdxl.safetensors",
      widthPx: undefined,
      heightPx: undefined,
    });
    const image = images[0] ?? expect.fail("no image");
    expect(image).toMatchObject({ widthPx: 1024, heightPx: 1024 });
    expect(readPng(image.data)).toMatchObject({ widthPx: 1024, heightPx: 1024 });
  });
});

describe("the inline limit", () => {
  it("refuses images that are larger all together, in one message", async () => {
    const { images } = await draw({ imageCount: 2 });
    const totalBytes = images.reduce((total, { data }) => total + data.length, 0);
    const limited = (inlineLimitBytes: number) => draw({ imageCount: 2, output: { inlineLimitBytes } });

    expect((await limited(totalBytes)).images).toHaveLength(2);
    const { code, message, details } = await failureOf(limited(totalBytes - 1));
    expect(code).toBe("resource_exhausted");
    expect(message).toContain("GenerateWithProgress");
    expect(errorInfoIn(details)).toMatchObject({
      reason: "RESPONSE_TOO_LARGE",
      metadata: { size_bytes: `${totalBytes}`, limit_bytes: `${totalBytes - 1}` },
    });
  });

  it("says from which size on an image comes in chunks, of 256 KiB at most", async () => {
    const large = { ...spec, widthPx: 640, heightPx: 512 };
    const { images } = parseGenerateResponse(await client.generate(large, {}, soon()));
    const { sizeBytes = 0n } = images[0] ?? {};
    const size = Number(sizeBytes);
    expect(size).toBeGreaterThan(2 * 256 * 1024);
    for (const inlineLimitBytes of [0, size - 1, size]) {
      const events = await collectEvents(
        client.generateWithProgress({ ...large, output: { inlineLimitBytes } }, {}, soon()),
      );
      expectOrderedEvents(events);
      const { chunkBytes, data } = imagesIn(events)[0] ?? expect.fail("no image");
      expect(data).toHaveLength(size);
      expect(chunkBytes.length > 0).toBe(inlineLimitBytes < size);
      expect(Math.max(0, ...chunkBytes)).toBeLessThanOrEqual(256 * 1024);
    }
  });
});

async function draw(change: Json): Promise<GenerateResponse> {
  return parseGenerateResponse(await client.generate({ ...spec, ...change }, {}, soon()));
}

/** The one image of a spec. */
async function imageOf(wanted: Json): Promise<Buffer> {
  const { images } = await draw(wanted);
  return images[0]?.data ?? expect.fail("no image");
}

async function pixelsOf(wanted: Json): Promise<Buffer> {
  return await decode(await imageOf(wanted));
}

/** The colours of an image in coarse, which a lossy format keeps. */
async function coarse(image: Uint8Array): Promise<Buffer> {
  return await sharp(image).removeAlpha().resize(16, 12, { kernel: "linear" }).raw().toBuffer();
}

function decode(image: Uint8Array): Promise<Buffer> {
  return sharp(image).removeAlpha().raw().toBuffer();
}

/** By how much the bytes differ, 0 to 255. */
function meanDifference(a: Buffer, b: Buffer): number {
  expect(a).toHaveLength(b.length);
  return a.reduce((total, byte, i) => total + Math.abs(byte - (b[i] ?? 0)), 0) / a.length;
}

function soon(): AbortSignal {
  return AbortSignal.timeout(25_000);
}
