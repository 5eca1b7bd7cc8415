import { describe, expect, it } from "vitest";
import type { Json } from "../json.ts";
import { decoded, difference, latentOf, runNode, testPicture, valueIn } from "../testing/run-node.ts";
import { testModel, testText } from "../testing/test-values.ts";
import type { Latent, Mask, Value } from "./value.ts";

const before = testPicture(64, 48);

/** Samples `latent` at `denoise` and decodes the result. */
async function sample(latent: Latent, denoise: number, changes: Record<string, Json> = {}): Promise<Latent> {
  const inputs: Record<string, Json | Value> = {
    model: testModel(),
    seed: 7,
    steps: 20,
    cfg: 7,
    sampler_name: "euler",
    scheduler: "normal",
    positive: testText("a red fox in the snow"),
    negative: testText(""),
    latent_image: latent,
    denoise,
    ...changes,
  };
  return valueIn(await runNode("KSampler", inputs), "LATENT");
}

async function pixelsOf(latent: Latent): Promise<Uint8Array> {
  const [first] = await decoded(latent);
  return first?.data ?? new Uint8Array();
}

describe("a sampler on a picture", () => {
  it("stays closer to it the less it denoises, gives it back at 0 and forgets it at 1", async () => {
    const latent = await latentOf(before);
    const distances = [];
    for (const denoise of [0, 0.1, 0.3, 0.5, 0.8, 1]) {
      distances.push(difference(await pixelsOf(await sample(latent, denoise)), before.data));
    }
    expect(distances[0]).toBe(0);
    expect(distances).toEqual(distances.toSorted((a, b) => a - b));
    expect(new Set(distances).size).toBe(distances.length);
    expect(distances[2]).toBeLessThan(255 * 0.3 ** 1.5);
    const other = await sample(await latentOf(testPicture(64, 48, 5)), 1);
    expect(await pixelsOf(other)).toEqual(await pixelsOf(await sample(latent, 1)));
  });

  it("makes the same of the same", async () => {
    const latent = await latentOf(before);
    expect(await pixelsOf(await sample(latent, 0.5))).toEqual(await pixelsOf(await sample(latent, 0.5)));
  });

  it("changes only blocks of 8 × 8 pixels under the noise mask", async () => {
    const mask = maskOf(64, 48, (x, y) => (x >= 16 && x < 40 && y >= 8 && y < 24 ? 1 : 0));
    const after = await pixelsOf(await sample({ ...(await latentOf(before)), noiseMask: mask }, 1));
    const changed = changedBlocks(after, before.data, 64);
    const expected = [2, 3, 4].flatMap((x) => [`${x},1`, `${x},2`]);
    expect(changed.toSorted()).toEqual(expected.toSorted());
  });

  it("brings a noise mask of another size to that of the latent, and lets half of it count for half", async () => {
    const latent = await latentOf(before);
    const all = await pixelsOf(await sample(latent, 1));
    const noiseMask = maskOf(16, 12, (x) => (x < 8 ? 0 : 0.5));
    const after = await pixelsOf(await sample({ ...latent, noiseMask }, 1));
    for (const [i, value] of after.entries()) {
      const old = before.data[i] ?? 0;
      const isLeft = Math.floor(i / 3) % 64 < 32;
      const wanted = isLeft ? old : (old + (all[i] ?? 0)) / 2;
      expect(Math.abs(value - wanted)).toBeLessThanOrEqual(isLeft ? 0 : 1);
    }
  });

  it("paints on grey where nothing was, if only a part is to be painted", async () => {
    const noiseMask = maskOf(64, 48, (x) => (x < 32 ? 1 : 0));
    const blank = valueIn(
      await runNode("EmptyLatentImage", { width: 64, height: 48, batch_size: 1 }),
      "LATENT",
    );
    const [whole, part] = [await sample(blank, 1), await sample({ ...blank, noiseMask }, 1)];
    const [wholePixels, partPixels] = [await pixelsOf(whole), await pixelsOf(part)];
    for (const [i, value] of partPixels.entries()) {
      expect(value).toBe(Math.floor(i / 3) % 64 < 32 ? wholePixels[i] : 128);
    }
  });

  it("keeps its noise mask for the next sampler", async () => {
    const noiseMask = maskOf(64, 48, () => 1);
    expect((await sample({ ...(await latentOf(before)), noiseMask }, 0.5)).noiseMask).toBe(noiseMask);
  });
});

describe("a VAE", () => {
  it.each(["", "demo-vae.safetensors", "demo-vae_flux.safetensors"])(
    "gives a picture back that %j has encoded",
    async (name) => {
      const pixels = { kind: "IMAGE", images: [before] } as const;
      const encoded = await runNode("VAEEncode", { pixels, vae: { kind: "VAE", name } });
      expect((await decoded(valueIn(encoded, "LATENT"), name))[0]).toEqual(before);
    },
  );

  it("has colours of its own, which show in what is painted", async () => {
    const painted = await sample(await latentOf(before), 1);
    const [own] = await decoded(painted, "demo-vae.safetensors");
    expect(difference(own?.data ?? [], await pixelsOf(painted))).toBeGreaterThan(0.5);
  });

  it("cuts off what is beyond a multiple of 8, on both sides", async () => {
    const [cut] = await decoded(await latentOf(testPicture(21, 18)));
    expect(cut).toMatchObject({ width: 16, height: 16 });
    const whole = testPicture(21, 18);
    expect(cut?.data.subarray(0, 3)).toEqual(whole.data.subarray((21 + 2) * 3, (21 + 2) * 3 + 3));
  });

  it("fails on a picture that is too small", async () => {
    await expect(latentOf(testPicture(7, 64))).rejects.toThrow("padded input size");
  });
});

function maskOf(width: number, height: number, at: (x: number, y: number) => number): Mask {
  const data = Float32Array.from({ length: width * height }, (_, i) => at(i % width, Math.floor(i / width)));
  return { kind: "MASK", planes: [{ width, height, data }] };
}

/** Blocks of 8 × 8 pixels in which any pixel differs, as `column,row`. */
function changedBlocks(a: Uint8Array, b: Uint8Array, width: number): string[] {
  const blocks = new Set<string>();
  for (const [i, value] of a.entries()) {
    const pixel = Math.floor(i / 3);
    if (value !== b[i]) {
      blocks.add(`${(pixel % width) >> 3},${Math.floor(pixel / width) >> 3}`);
    }
  }
  return [...blocks];
}
