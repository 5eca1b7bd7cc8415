import { describe, expect, it } from "vitest";
import { difference, latentOf, runNode, testPicture, valueIn } from "../testing/run-node.ts";
import { pixelsOf, testDraw, testModel, testText } from "../testing/test-values.ts";
import type { Conditioning, Latent, Mask } from "./value.ts";

const picture = testPicture(64, 64);

/** The left half. */
const mask: Mask = {
  kind: "MASK",
  planes: [
    {
      width: 64,
      height: 64,
      data: Float32Array.from({ length: 64 * 64 }, (_, i) => (i % 64 < 32 ? 1 : 0)),
    },
  ],
};

const inpaintModel = testModel("demo-sd15_inpaint.safetensors", "stable-diffusion-v1-inpainting");

describe("conditioning for inpaint models", () => {
  it("gives the picture as a latent, whole, with a noise mask if that is wanted", async () => {
    const [masked, whole] = [await shown(true), await shown(false)];
    expect(await pixelsOf(masked.latent_image)).toEqual(picture.data);
    expect(await pixelsOf(whole.latent_image)).toEqual(picture.data);
    expect(masked.latent_image.noiseMask?.planes).toEqual(mask.planes);
    expect(whole.latent_image.noiseMask).toBeUndefined();
  });

  it("lets only what is masked be painted, by any model", async () => {
    for (const model of [testModel(), inpaintModel]) {
      const after = await testDraw({ model, ...(await shown(true)) });
      expect(differenceOf(after, picture.data, "right")).toBe(0);
      expect(differenceOf(after, picture.data, "left")).toBeGreaterThan(10);
    }
  });

  it("shows an inpaint model what is around, so that it keeps it without a noise mask too", async () => {
    const [byOther, byInpaint] = [
      await testDraw(await shown(false)),
      await testDraw({ model: inpaintModel, ...(await shown(false)) }),
    ];
    expect(differenceOf(byOther, picture.data, "right")).toBeGreaterThan(30);
    expect(differenceOf(byInpaint, picture.data, "right")).toBeLessThan(8);
    expect(differenceOf(byInpaint, picture.data, "left")).toBeGreaterThan(10);
  });
});

describe("a reference", () => {
  it("shows in the picture", async () => {
    const latent = await latentOf(picture);
    const referred = async (inputs: { latent?: Latent }) =>
      valueIn(
        await runNode("ReferenceLatent", { conditioning: testText("a red fox in the snow"), ...inputs }),
        "CONDITIONING",
      );
    const [plain, after] = [await testDraw(), await testDraw({ positive: await referred({ latent }) })];
    expect(difference(after, picture.data)).toBeLessThan(difference(plain, picture.data) * 0.7);
    expect(await testDraw({ positive: await referred({}) })).toEqual(plain);
  });
});

async function shown(noise_mask: boolean): Promise<{ positive: Conditioning; latent_image: Latent }> {
  const result = await runNode("InpaintModelConditioning", {
    positive: testText("a red fox in the snow"),
    negative: testText(""),
    vae: { kind: "VAE", name: "" },
    pixels: { kind: "IMAGE", images: [picture] },
    mask,
    noise_mask,
  });
  return { positive: valueIn(result, "CONDITIONING"), latent_image: valueIn(result, "LATENT") };
}

/** Mean difference of one half of two pictures. */
function differenceOf(a: Uint8Array, b: Uint8Array, side: "left" | "right"): number {
  const half = (pixels: Uint8Array) =>
    pixels.filter((_, i) => Math.floor(i / 3) % 64 < 32 === (side === "left"));
  return difference(half(a), half(b));
}
