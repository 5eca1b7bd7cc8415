import type { JsonObject } from "@bufbuild/protobuf";
import sharp, { type Sharp } from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ServiceFixture, startServiceFixture } from "../support/start-service.ts";
import { connectWorkflows, type WorkflowClient } from "../support/workflow-client.ts";

/** Every template that comes along runs on the built-in engine, and does what it says. */

let fixture: ServiceFixture;
let client: WorkflowClient;
let photo: string;
let mask: string;

beforeAll(async () => {
  fixture = await startServiceFixture();
  client = connectWorkflows(fixture.url);
  const size = { width: 64, height: 64, channels: 3 } as const;
  photo = await upload(sharp({ create: { ...size, background: { r: 200, g: 120, b: 40 } } }));
  const white = sharp({ create: { width: 32, height: 64, channels: 3, background: "white" } }).png();
  mask = await upload(
    sharp({ create: { ...size, background: "black" } }).composite([
      { input: await white.toBuffer(), left: 32, top: 0 },
    ]),
  );
});

afterAll(async () => {
  client?.[Symbol.dispose]();
  await fixture?.[Symbol.asyncDispose]();
});

async function upload(image: Sharp): Promise<string> {
  const { asset } = await client.assets.createAsset({ data: await image.png().toBuffer() });
  return asset?.assetId ?? expect.fail("no asset");
}

/** The only image that a run gives, with its pixels in RGB. */
async function run(name: string, parameters: JsonObject) {
  const { images } = await client.images.generate({ spec: { template: { name, parameters } } });
  expect(images).toHaveLength(1);
  const { data, info } = await sharp(images[0]?.data)
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { ...info, data, seed: images[0]?.seed };
}

const quick = { steps: 2, seed: 7, prompt: "a red fox" };

describe("the template", () => {
  it("text-to-image draws", async () => {
    const { width, height } = await run("text-to-image", { ...quick, width: 96, height: 64 });
    expect([width, height]).toEqual([96, 64]);
  });

  it("image-to-image stays closer to its image the less it may change", async () => {
    const distanceAt = async (denoise: number) => {
      const { data, width } = await run("image-to-image", { ...quick, image: { asset_id: photo }, denoise });
      expect(width).toBe(64);
      return distance(data, () => true);
    };
    expect(await distanceAt(0.1)).toBeLessThan(await distanceAt(1));
  });

  it("inpaint changes nothing outside of its mask", async () => {
    const { data } = await run("inpaint", {
      ...{ ...quick, image: { asset_id: photo }, mask: { asset_id: mask } },
    });
    expect(distance(data, (x) => x < 32)).toBe(0);
    expect(distance(data, (x) => x >= 32)).toBeGreaterThan(0);
  });

  it("upscale enlarges", async () => {
    const { width, height } = await run("upscale", { image: { asset_id: photo } });
    expect(width).toBeGreaterThan(64);
    expect(height).toBe(width);
  });

  it("sdxl-base-refiner draws in two parts", async () => {
    const models = { checkpoint: "demo-sdxl.safetensors", refiner: "demo-sdxl_refiner.safetensors" };
    const size = { width: 64, height: 64 };
    const parameters = { ...quick, ...models, ...size, steps: 4, refine_at_step: 3 };
    expect(await run("sdxl-base-refiner", parameters)).toMatchObject({ width: 64, seed: 7n });
  });

  it("flux-dev draws from its four files", async () => {
    const files = {
      diffusion_model: "demo-flux.safetensors",
      clip_l: "demo-clip_l.safetensors",
      t5xxl: "demo-t5xxl.safetensors",
      vae: "demo-vae_flux.safetensors",
    };
    expect(await run("flux-dev", { ...quick, width: 64, height: 64, ...files })).toMatchObject({ width: 64 });
  });
});

/** Sum of the differences to the photo, over the columns that `counts`. */
function distance(data: Buffer, counts: (x: number) => boolean): number {
  let sum = 0;
  for (const [i, value] of data.entries()) {
    const x = Math.floor(i / 3) % 64;
    sum += counts(x) ? Math.abs(value - ([200, 120, 40][i % 3] ?? 0)) : 0;
  }
  return sum;
}
