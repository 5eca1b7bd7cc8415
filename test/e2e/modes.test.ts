import { create, type MessageInitShape } from "@bufbuild/protobuf";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ControlNetPreprocessor } from "../../gen/comfyrpc/v1/control_net_pb.js";
import { GenerationSpecSchema } from "../../gen/comfyrpc/v1/generation_pb.js";
import type { Image } from "../../gen/comfyrpc/v1/image_pb.js";
import { ModelFamily } from "../../gen/comfyrpc/v1/model_files_pb.js";
import { InpaintMethod } from "../../gen/comfyrpc/v1/start_image_pb.js";
import { HiresMethod, type Upscale, type UpscaleSchema } from "../../gen/comfyrpc/v1/upscale_pb.js";
import { connectImages, type ImageClient, type SpecInit } from "../support/image-client.ts";
import {
  changedPixels,
  decode,
  holedAt,
  inline,
  maskOf,
  meanDifference,
  type Picture,
  type Pixel,
} from "../support/pictures.ts";
import { failureOf } from "../support/rpc-failure.ts";
import { type ServiceFixture, startServiceFixture } from "../support/start-service.ts";

const base = { prompt: "a lighthouse at dusk", steps: 4, seed: 7n } as const;

let fixture: ServiceFixture;
let client: ImageClient;
/** A drawing of 128 x 96 pixels. */
let photo: Picture;

beforeAll(async () => {
  fixture = await startServiceFixture();
  client = connectImages(fixture.url);
  photo = await pictureOf({
    prompt: "a red fox in the snow",
    widthPx: 128,
    heightPx: 96,
    steps: 4,
    seed: 1n,
  });
});

afterAll(async () => {
  client?.[Symbol.dispose]();
  await fixture?.[Symbol.asyncDispose]();
});

describe("image to image", () => {
  it("has the size of its image, and stays the closer to it the less noise is removed", async () => {
    const distances: number[] = [];
    for (const denoise of [0, 0.3, 0.6, 1]) {
      const start = { case: "imageToImage", value: { image: photo.input } } as const;
      const picture = await pictureOf({ ...base, start, denoise });
      expect([picture.width, picture.height]).toEqual([128, 96]);
      distances.push(meanDifference(picture, photo));
    }
    expect(distances[0]).toBe(0);
    expect(distances).toEqual(distances.toSorted((a, b) => a - b));
    expect(distances[1]).toBeLessThan((distances[3] ?? 0) / 2);
  });
});

describe("inpaint", () => {
  it.each([
    ["softly", InpaintMethod.SOFT],
    ["from nothing", InpaintMethod.HARD],
    ["by an inpaint model", InpaintMethod.MODEL],
  ])("changes what the mask covers %s, and not one pixel else", async (_, method) => {
    const mask = await maskOf(128, 96, { left: 32, top: 24, width: 48, height: 32 });
    const value = { image: photo.input, mask, method, growPx: 0 };
    const picture = await pictureOf({ ...base, start: { case: "inpaint", value } });
    const changed = changedPixels(picture, photo);
    expect(changed.every(([x, y]) => x >= 32 && x < 80 && y >= 24 && y < 56)).toBe(true);
    expect(changed.length).toBeGreaterThan((48 * 32) / 2);
  });

  it("draws what is transparent if there is no mask, or all else if that is asked for", async () => {
    const image = await holedAt(photo, { left: 64, top: 32, width: 32, height: 32 });
    const inHole = ([x, y]: Pixel) => x >= 64 && x < 96 && y >= 32 && y < 64;
    const value = { image, growPx: 0 };
    const drawn = await pictureOf({ ...base, start: { case: "inpaint", value } });
    expect(changedPixels(drawn, photo).every(inHole)).toBe(true);
    const inverted = { ...value, invertMask: true };
    const around = await pictureOf({ ...base, start: { case: "inpaint", value: inverted } });
    expect(changedPixels(around, photo).some(inHole)).toBe(false);
    expect(changedPixels(around, photo).length).toBeGreaterThan(128 * 96 * 0.5);
  });

  it("grows and feathers the mask, and no further", async () => {
    const mask = await maskOf(128, 96, { left: 48, top: 32, width: 32, height: 32 });
    const value = { image: photo.input, mask, growPx: 8, featherPx: 4 };
    const picture = await pictureOf({ ...base, start: { case: "inpaint", value } });
    const changed = changedPixels(picture, photo);
    expect(changed.every(([x, y]) => x >= 36 && x < 92 && y >= 20 && y < 76)).toBe(true);
    expect(changed.some(([x, y]) => x < 48 || y < 32)).toBe(true);
  });

  it("has the size that is asked for, mask and all", async () => {
    const mask = await maskOf(128, 96, { left: 0, top: 0, width: 64, height: 96 });
    const value = { image: photo.input, mask, growPx: 0 };
    const picture = await pictureOf({
      ...base,
      start: { case: "inpaint", value },
      widthPx: 256,
      heightPx: 192,
    });
    expect([picture.width, picture.height]).toEqual([256, 192]);
  });

  it("gives the same picture again for the resolved spec", async () => {
    const mask = await maskOf(128, 96, { left: 32, top: 24, width: 48, height: 32 });
    const start = { case: "inpaint", value: { image: photo.input, mask } } as const;
    const { result, images } = await generate({ prompt: "an owl", steps: 3, start });
    const resolved = result?.resolvedSpec ?? create(GenerationSpecSchema);
    expect(resolved.start.value).toMatchObject({
      image: { source: { case: "assetId" } },
      mask: { source: { case: "assetId" } },
    });
    const again = await generate(resolved);
    expect(again.result?.graphSha256).toBe(result?.graphSha256);
    expect(await pixelsIn(again.images[0])).toEqual(await pixelsIn(images[0]));
  });
});

describe("outpaint", () => {
  it("draws around the image, of which no pixel changes", async () => {
    const value = { image: photo.input, leftPx: 32, topPx: 8, rightPx: 16, bottomPx: 0, featherPx: 0 };
    const picture = await pictureOf({ ...base, start: { case: "outpaint", value } });
    expect([picture.width, picture.height]).toEqual([176, 104]);
    const middle = await sharp(picture.png)
      .extract({ left: 32, top: 8, width: 128, height: 96 })
      .png()
      .toBuffer();
    expect(changedPixels(await decode(middle), photo)).toEqual([]);
  });

  it("adds up to 7 pixels where sides would not be multiples of 8", async () => {
    const value = { image: photo.input, rightPx: 3 };
    const picture = await pictureOf({ ...base, start: { case: "outpaint", value } });
    expect([picture.width, picture.height]).toEqual([136, 96]);
  });

  it("gives the same picture again for the resolved spec", async () => {
    const start = { case: "outpaint", value: { image: photo.input, rightPx: 3 } } as const;
    const { result, images } = await generate({ prompt: "an owl", steps: 3, start });
    const again = await generate(result?.resolvedSpec ?? {});
    expect(again.result?.graphSha256).toBe(result?.graphSha256);
    expect(await pixelsIn(again.images[0])).toEqual(await pixelsIn(images[0]));
  });
});

describe("enlarging", () => {
  it.each<
    [what: string, upscale: Exclude<MessageInitShape<typeof UpscaleSchema>, Upscale>, size: [number, number]]
  >([
    ["by a factor", { factor: 1.5 }, [192, 144]],
    ["to a width", { widthPx: 100 }, [100, 75]],
    ["to a size of other proportions", { widthPx: 200, heightPx: 200 }, [200, 200]],
    ["by a model", { model: "demo-upscale-2x.safetensors" }, [256, 192]],
    ["by a model, then to a size", { model: "demo-upscale-4x.safetensors", widthPx: 300 }, [300, 225]],
  ])("%s has that size and shows the same, drawn or given", async (_, upscale, size) => {
    const given = await pictureOf({ upscale: { ...upscale, image: photo.input } });
    const spec = { prompt: "a red fox in the snow", widthPx: 128, heightPx: 96, steps: 4, seed: 1n };
    const drawn = await pictureOf({ ...spec, upscale });
    for (const picture of [given, drawn]) {
      expect([picture.width, picture.height]).toEqual(size);
    }
    expect(changedPixels(given, drawn)).toEqual([]);
    const fit = size[0] === size[1] ? "cover" : "fill";
    const expected = await decode(
      await sharp(photo.png)
        .resize(...size, { fit })
        .png()
        .toBuffer(),
    );
    expect(meanDifference(given, expected)).toBeLessThan(12);
  });

  it.each([
    ["latents", HiresMethod.LATENT, ""],
    ["pixels", HiresMethod.PIXEL, ""],
    ["pixels by a model", HiresMethod.PIXEL, "demo-upscale-4x.safetensors"],
  ])("draws a second time over scaled %s", async (_, method, upscaleModel) => {
    const size = { widthPx: 64, heightPx: 64 };
    const picture = await pictureOf({ ...base, ...size, hires: { scale: 1.5, method, upscaleModel } });
    expect([picture.width, picture.height]).toEqual([96, 96]);
  });
});

describe("guidance", () => {
  const size = { widthPx: 128, heightPx: 96 };

  it("leaves the trace of a ControlNet's image, the more the stronger it is", async () => {
    const image = await maskOf(128, 96, { left: 40, top: 20, width: 48, height: 56 });
    const plain = await pictureOf({ ...base, ...size });
    const distances: number[] = [];
    for (const strength of [0, 0.5, 1.5]) {
      const preprocessor = ControlNetPreprocessor.CANNY;
      const controlNets = [{ model: "demo-canny.safetensors", image, strength, preprocessor }];
      distances.push(meanDifference(await pictureOf({ ...base, ...size, controlNets }), plain));
    }
    expect(distances[0]).toBe(0);
    expect(distances[1]).toBeGreaterThan(0);
    expect(distances[2]).toBeGreaterThan(distances[1] ?? 0);
  });

  it("lets a refiner draw the last steps", async () => {
    const pictures = [];
    for (const refiner of [undefined, { switchAt: 0.8 }, { switchAt: 0.2 }]) {
      const model = "demo-sdxl_refiner.safetensors";
      pictures.push(
        await pictureOf({ ...base, ...size, steps: 10, ...(refiner && { refiner: { ...refiner, model } }) }),
      );
    }
    const [plain, late, early] = pictures;
    expect(changedPixels(plain ?? photo, late ?? photo).length).toBeGreaterThan(0);
    expect(changedPixels(late ?? photo, early ?? photo).length).toBeGreaterThan(0);
  });
});

describe("models in several files", () => {
  it.each<[family: keyof typeof ModelFamily, diffusionModel: string, textEncoders: string[], vae: string]>([
    ["FLUX", "flux", ["clip_l", "t5xxl"], "vae_flux"],
    ["SD3", "sd3", ["clip_l", "clip_g", "t5xxl"], "vae"],
    ["SD3", "sd3", ["clip_l", "clip_g"], "vae"],
    ["QWEN_IMAGE", "qwen-image", ["qwen"], "vae_qwen"],
    ["Z_IMAGE", "z-image", ["qwen"], "vae_flux"],
    ["LUMINA2", "lumina2", ["gemma"], "vae_flux"],
    ["CHROMA", "chroma", ["t5xxl"], "vae_flux"],
    ["HIDREAM", "hidream", ["clip_l", "clip_g", "t5xxl", "llama"], "vae_flux"],
    ["HUNYUAN_IMAGE", "hunyuan-image", ["qwen", "t5xxl"], "vae"],
    ["AURA_FLOW", "auraflow", ["t5xxl"], "vae"],
    ["FLUX2", "flux2", ["mistral"], "vae_flux"],
  ])("draw: %s of %s with %s", async (family, diffusionModel, textEncoders, vae) => {
    const { images, result } = await generate({
      ...base,
      widthPx: 128,
      heightPx: 96,
      vae: fileOf(vae),
      modelFiles: {
        family: ModelFamily[family],
        diffusionModel: fileOf(diffusionModel),
        textEncoders: textEncoders.map(fileOf),
      },
    });
    expect(images).toMatchObject([{ widthPx: 128, heightPx: 96, seed: 7n }]);
    expect(result?.resolvedSpec).toMatchObject({ model: "", cfg: expect.any(Number) });
  });
});

describe("what does not go", () => {
  const mask = () => maskOf(64, 64, { left: 0, top: 0, width: 32, height: 32 });

  it.each<[what: string, spec: () => Promise<SpecInit>, field: string, reason: string]>([
    [
      "an image without transparency as its own mask",
      async () => ({ ...base, start: { case: "inpaint", value: { image: photo.input } } }),
      "spec.inpaint.mask",
      "INPUT_REJECTED",
    ],
    [
      "a mask of another size",
      async () => ({
        ...base,
        start: { case: "inpaint", value: { image: photo.input, mask: await mask() } },
      }),
      "spec.inpaint.mask",
      "INPUT_REJECTED",
    ],
    [
      "bytes that are no image",
      async () => ({
        ...base,
        start: { case: "imageToImage", value: { image: inline(Buffer.from("text")) } },
      }),
      "spec.image_to_image.image",
      "INPUT_REJECTED",
    ],
    [
      "an asset that is not there",
      async () => ({
        ...base,
        start: {
          case: "outpaint",
          value: { image: { source: { case: "assetId", value: "a".repeat(64) } }, leftPx: 8 },
        },
      }),
      "spec.outpaint.image",
      "ASSET_NOT_FOUND",
    ],
    [
      "an address, unless the server is configured for that",
      async () => ({
        ...base,
        controlNets: [
          { model: fileOf("canny"), image: { source: { case: "url", value: "https://example.com/a.png" } } },
        ],
      }),
      "spec.control_nets[0].image",
      "INVALID_FIELD",
    ],
    [
      "a ControlNet that the backend does not have",
      async () => ({ ...base, controlNets: [{ model: "none", image: photo.input }] }),
      "spec.control_nets[0].model",
      "MODEL_NOT_FOUND",
    ],
    [
      "an outpainted picture that is too large",
      async () => ({ ...base, start: { case: "outpaint", value: { image: photo.input, leftPx: 2_000 } } }),
      "spec.outpaint",
      "INVALID_FIELD",
    ],
  ])("refuses %s, and names its field", async (_, spec, field, reason) => {
    const failure = await failureOf(client.rpc.generate({ spec: await spec() }, soon()));
    expect(failure.reason, failure.message).toBe(reason);
    expect(failure.fields).toContain(field);
  });
});

/** Everything at once, as the schema promises that it can be combined. */
it("puts all features together in one picture", async () => {
  const picture = await pictureOf({
    ...base,
    imageCount: 1,
    loras: [{ name: fileOf("neon"), modelStrength: 0.5 }],
    clipSkip: 2,
    vae: fileOf("vae"),
    start: { case: "imageToImage", value: { image: photo.input } },
    controlNets: [{ model: fileOf("depth"), image: photo.input, strength: 0.5 }],
    refiner: { model: "demo-sdxl_refiner.safetensors" },
    hires: { scale: 1.5 },
    upscale: { factor: 2 },
  });
  expect([picture.width, picture.height]).toEqual([384, 288]);
});

function fileOf(name: string): string {
  return `demo-${name}.safetensors`;
}

function soon() {
  return { signal: AbortSignal.timeout(25_000) };
}

async function generate(spec: SpecInit) {
  return await client.rpc.generate({ spec }, soon());
}

async function pictureOf(spec: SpecInit): Promise<Picture> {
  const { images } = await generate(spec);
  return await decode(Buffer.from(images[0]?.data ?? []));
}

async function pixelsIn(image: Image | undefined): Promise<Buffer> {
  return (await decode(Buffer.from(image?.data ?? []))).data;
}
