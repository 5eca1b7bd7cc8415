import { describe, expect, it } from "vitest";
import { decoded, difference, latentOf, runNode, testPicture, valueIn } from "../testing/run-node.ts";
import type { Latent, Mask } from "./value.ts";

const ownVae = { kind: "VAE", name: "" } as const;

describe("a node of latent images", () => {
  it.each([
    ["LatentUpscale", { upscale_method: "bicubic", width: 128, height: 72, crop: "disabled" }, 128, 72],
    ["LatentUpscale", { upscale_method: "area", width: 71, height: 64, crop: "center" }, 64, 64],
    ["LatentUpscale", { upscale_method: "bislerp", width: 0, height: 96, crop: "disabled" }, 128, 96],
    ["LatentUpscale", { upscale_method: "bislerp", width: 8, height: 8, crop: "disabled" }, 64, 64],
    ["LatentUpscale", { upscale_method: "bilinear", width: 0, height: 0, crop: "disabled" }, 64, 48],
    ["LatentUpscaleBy", { upscale_method: "nearest-exact", scale_by: 1.5 }, 96, 72],
    ["LatentUpscaleBy", { upscale_method: "bilinear", scale_by: 0.3 }, 16, 16],
  ] as const)("%s with %j makes the size", async (classType, inputs, width, height) => {
    const samples = await latentOf(testPicture(64, 48));
    const latent = valueIn(await runNode(classType, { samples, ...inputs }), "LATENT");
    expect(latent).toMatchObject({ width, height, batchSize: 1 });
    expect(await decoded(latent)).toMatchObject([{ width, height }]);
  });

  it.each([
    ["EmptyLatentImage", 88, 72],
    ["EmptySD3LatentImage", 88, 72],
    ["EmptyFlux2LatentImage", 80, 64],
    ["EmptyHunyuanImageLatent", 64, 64],
  ])("%s works on whole blocks, of which there are %i × %i pixels", async (classType, width, height) => {
    const latent = valueIn(await runNode(classType, { width: 90, height: 76, batch_size: 2 }), "LATENT");
    expect(await decoded(latent)).toMatchObject([
      { width, height },
      { width, height },
    ]);
  });

  it("shows the same picture upscaled, and a blank one blank", async () => {
    const inputs = { upscale_method: "nearest-exact", scale_by: 2 };
    const samples = await latentOf(testPicture(64, 64));
    const [large] = await decoded(
      valueIn(await runNode("LatentUpscaleBy", { samples, ...inputs }), "LATENT"),
    );
    const [small] = await decoded(samples);
    const halved = small?.data.map((_, i) => {
      const [x, y, channel] = [Math.floor(i / 3) % 64, Math.floor(i / 192), i % 3];
      return large?.data[(y * 2 * 128 + x * 2) * 3 + channel] ?? 0;
    });
    expect(halved).toEqual(small?.data);
    const blank = valueIn(
      await runNode("EmptyLatentImage", { width: 64, height: 64, batch_size: 1 }),
      "LATENT",
    );
    const upscaled = valueIn(await runNode("LatentUpscaleBy", { samples: blank, ...inputs }), "LATENT");
    expect((await decoded(upscaled))[0]?.data.every((byte) => byte === 128)).toBe(true);
  });

  it("repeats a batch, and takes some of it with their places and masks", async () => {
    const pictures = [1, 2, 3].map((seed) => testPicture(16, 16, seed));
    const noiseMask: Mask = { kind: "MASK", planes: [0, 0.5, 1].map((value) => plane(value)) };
    const samples = { ...(await latentOf(...pictures)), noiseMask };
    const some = valueIn(await runNode("LatentFromBatch", { samples, batch_index: 1, length: 5 }), "LATENT");
    expect(await decoded(some)).toEqual(pictures.slice(1));
    expect(some).toMatchObject({
      batchSize: 2,
      places: [1, 2],
      noiseMask: { planes: [plane(0.5), plane(1)] },
    });
    const twice = valueIn(await runNode("RepeatLatentBatch", { samples: some, amount: 2 }), "LATENT");
    expect(await decoded(twice)).toEqual([...pictures.slice(1), ...pictures.slice(1)]);
    expect(twice).toMatchObject({ batchSize: 4, places: [1, 2, 3, 4] });
  });

  it("lays one latent over another, through a mask", async () => {
    const [below, above] = [testPicture(32, 16), testPicture(16, 16, 3)];
    const destination = await latentOf(below);
    const source = await latentOf(above);
    const inputs = { destination, source, x: 16, y: 0, resize_source: false };
    const over = await decoded(valueIn(await runNode("LatentCompositeMasked", inputs), "LATENT"));
    const through = await runNode("LatentCompositeMasked", {
      ...inputs,
      mask: { kind: "MASK", planes: [plane(0)] },
    });
    expect(await decoded(valueIn(through, "LATENT"))).toEqual([below]);
    for (const [i, byte] of (over[0]?.data ?? []).entries()) {
      const [x, y, channel] = [Math.floor(i / 3) % 32, Math.floor(i / 96), i % 3];
      expect(byte).toBe(x < 16 ? below.data[i] : above.data[(y * 16 + x - 16) * 3 + channel]);
    }
    expect(await decoded(destination)).toEqual([below]);
  });

  it("fails on sizes that nothing fits into", async () => {
    const samples = await latentOf(testPicture(16, 16));
    const inputs = { samples, upscale_method: "bilinear", scale_by: 0.01 };
    await expect(runNode("LatentUpscaleBy", inputs)).rejects.toThrow("greater than 0");
    await expect(runNode("EmptyLatentImage", { width: 8192, height: 8192, batch_size: 2 })).rejects.toThrow(
      "Allocation",
    );
  });
});

describe("VAEEncodeForInpaint", () => {
  it("erases under the mask to grey, and lets samplers paint there and a little around", async () => {
    const latent = await encodeForInpaint(6);
    const [shown] = await decoded(latent);
    const before = testPicture(32, 24);
    for (const [i, byte] of (shown?.data ?? []).entries()) {
      expect(byte).toBe(isMasked(Math.floor(i / 3)) ? 128 : before.data[i]);
    }
    const grown = latent.noiseMask?.planes[0]?.data ?? new Float32Array();
    const columns = new Set([...grown.keys()].filter((i) => grown[i] === 1).map((i) => i % 32));
    expect([...columns].toSorted((a, b) => a - b)).toEqual(Array.from({ length: 13 }, (_, i) => 6 + i));
  });

  it("brings the mask to the size of the picture and cuts it alike", async () => {
    const mask: Mask = { kind: "MASK", planes: [plane(1)] };
    const pixels = { kind: "IMAGE", images: [testPicture(21, 18)] } as const;
    const result = await runNode("VAEEncodeForInpaint", { pixels, vae: ownVae, mask, grow_mask_by: 0 });
    const latent = valueIn(result, "LATENT");
    expect(latent).toMatchObject({
      width: 16,
      height: 16,
      noiseMask: { planes: [{ width: 16, height: 16 }] },
    });
    expect(difference((await decoded(latent))[0]?.data ?? [], new Uint8Array(768).fill(128))).toBe(0);
  });

  function encodeForInpaint(grow: number): Promise<Latent> {
    const data = Float32Array.from({ length: 32 * 24 }, (_, i) => (isMasked(i) ? 1 : 0.4));
    const mask: Mask = { kind: "MASK", planes: [{ width: 32, height: 24, data }] };
    const pixels = { kind: "IMAGE", images: [testPicture(32, 24)] } as const;
    const inputs = { pixels, vae: ownVae, mask, grow_mask_by: grow };
    return runNode("VAEEncodeForInpaint", inputs).then((result) => valueIn(result, "LATENT"));
  }

  function isMasked(pixel: number): boolean {
    const [x, y] = [pixel % 32, Math.floor(pixel / 32)];
    return x >= 8 && x < 16 && y >= 8 && y < 16;
  }
});

/** 4 × 4 pixels of one value. */
function plane(value: number) {
  return { width: 4, height: 4, data: new Float32Array(16).fill(value) };
}
