import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { ControlNetPreprocessor } from "../../gen/comfyrpc/v1/control_net_pb.js";
import { InpaintMethod } from "../../gen/comfyrpc/v1/start_image_pb.js";
import { HiresMethod, type Upscale, type UpscaleSchema } from "../../gen/comfyrpc/v1/upscale_pb.js";
import { type Service, startService } from "../../src/app.ts";
import { readConfig } from "../../src/config/config.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { connectImages, type ImageClient, type SpecInit } from "../support/image-client.ts";
import {
  changedPixels,
  decode,
  holedAt,
  maskOf,
  meanDifference,
  type Picture,
  type Pixel,
} from "../support/pictures.ts";

const comfyUrl = process.env.COMFYUI_URL;
const timeout = 300_000;
const size = { widthPx: 64, heightPx: 64 } as const;
const fox = { prompt: "a red fox in the snow", ...size, steps: 2, seed: 1n } as const;
const owl = { prompt: "an owl", steps: 2, seed: 7n } as const;

/**
 * The service before the ComfyUI at `COMFYUI_URL`, which is not ours to stop: what each mode of an SD 1.5 checkpoint, even
 * one of random weights, does to the pixels. Any server will do whose first checkpoint can sample at 64 x 64.
 */
describe.skipIf(!comfyUrl)("the modes on a real ComfyUI", { timeout }, () => {
  const opened = new AsyncDisposableStack();
  let client: ImageClient;
  let checkpoint: string;
  /** A drawing of 64 x 64 pixels. */
  let photo: Picture;

  beforeAll(async () => {
    const data = opened.use(await mkdtempDisposable(join(tmpdir(), "comfyrpc-test-")));
    const config = readConfig({
      COMFYUI_URL: comfyUrl,
      COMFYRPC_PORT: "0",
      COMFYRPC_DATA_DIR: data.path,
    });
    const service: Service = opened.use(await startService(config, createLogger({ level: "silent" })));
    await service.ready(AbortSignal.timeout(60_000));
    client = opened.use(connectImages(service.url));
    const { images, result } = await generate(fox);
    checkpoint = result?.resolvedSpec?.model ?? "";
    photo = await decode(Buffer.from(images[0]?.data ?? []));
  }, timeout);

  afterAll(() => opened.disposeAsync());

  const generate = (spec: SpecInit) =>
    client.rpc.generate({ spec }, { signal: AbortSignal.timeout(timeout) });

  /** A file of a kind that the server has, which is not a placeholder without weights. */
  async function modelFile(folder: "controlnet" | "loras" | "upscale_models" | "vae") {
    const response = await fetch(new URL(`models/${folder}`, comfyUrl));
    const names = z.array(z.string()).parse(await response.json());
    return names.find((name) => !/placeholder/i.test(name));
  }

  async function pictureOf(spec: SpecInit): Promise<Picture> {
    const { images } = await generate(spec);
    return await decode(Buffer.from(images[0]?.data ?? []));
  }

  it("image to image stays the closer to its image the less noise is removed", async () => {
    const start = { case: "imageToImage", value: { image: photo.input } } as const;
    // What the encoder makes of the image: with random weights it is nothing like it.
    const encoded = await pictureOf({ ...owl, start, denoise: 0 });
    expect([encoded.width, encoded.height]).toEqual([64, 64]);
    const close = meanDifference(await pictureOf({ ...owl, start, denoise: 0.1 }), encoded);
    const far = meanDifference(await pictureOf({ ...owl, start, denoise: 1 }), encoded);
    expect(close).toBeLessThan(far);
  });

  it.each([
    ["softly", InpaintMethod.SOFT],
    ["from nothing", InpaintMethod.HARD],
    ["by an inpaint model", InpaintMethod.MODEL],
  ])("inpainting %s changes what the mask covers, and not one pixel else", async (_, method) => {
    const mask = await maskOf(64, 64, { left: 16, top: 8, width: 32, height: 24 });
    const value = { image: photo.input, mask, method, growPx: 0 };
    const changed = changedPixels(await pictureOf({ ...owl, start: { case: "inpaint", value } }), photo);
    expect(changed.every(([x, y]) => x >= 16 && x < 48 && y >= 8 && y < 32)).toBe(true);
    expect(changed.length).toBeGreaterThan((32 * 24) / 2);
  });

  it("inpainting draws what is transparent if there is no mask, or all else if that is asked for", async () => {
    const image = await holedAt(photo, { left: 24, top: 16, width: 32, height: 24 });
    const inHole = ([x, y]: Pixel) => x >= 24 && x < 56 && y >= 16 && y < 40;
    const value = { image, growPx: 0 };
    const drawn = changedPixels(await pictureOf({ ...owl, start: { case: "inpaint", value } }), photo);
    expect(drawn.every(inHole)).toBe(true);
    expect(drawn.length).toBeGreaterThan((32 * 24) / 2);
    const inverted = { ...value, invertMask: true };
    const around = changedPixels(
      await pictureOf({ ...owl, start: { case: "inpaint", value: inverted } }),
      photo,
    );
    expect(around.some(inHole)).toBe(false);
    expect(around.length).toBeGreaterThan((64 * 64) / 2);
  });

  it("inpainting grows and feathers the mask, and no further", async () => {
    const mask = await maskOf(64, 64, { left: 24, top: 24, width: 16, height: 16 });
    const value = { image: photo.input, mask, growPx: 8, featherPx: 4 };
    const changed = changedPixels(await pictureOf({ ...owl, start: { case: "inpaint", value } }), photo);
    expect(changed.every(([x, y]) => x >= 12 && x < 52 && y >= 12 && y < 52)).toBe(true);
    expect(changed.some(([x, y]) => x < 24 || y < 24)).toBe(true);
  });

  it("outpainting draws around the image, of which no pixel changes", async () => {
    const value = { image: photo.input, leftPx: 32, topPx: 8, rightPx: 16, featherPx: 0 };
    const picture = await pictureOf({ ...owl, start: { case: "outpaint", value } });
    expect([picture.width, picture.height]).toEqual([112, 72]);
    const middle = sharp(picture.png).extract({ left: 32, top: 8, width: 64, height: 64 });
    expect(changedPixels(await decode(await middle.png().toBuffer()), photo)).toEqual([]);
  });

  it.each<
    [what: string, upscale: Exclude<MessageInitShape<typeof UpscaleSchema>, Upscale>, size: [number, number]]
  >([
    ["by a factor", { factor: 1.5 }, [96, 96]],
    ["to a width", { widthPx: 100 }, [100, 100]],
    ["to a size of other proportions", { widthPx: 200, heightPx: 100 }, [200, 100]],
  ])("enlarging %s makes the same of a picture, drawn or given", async (_, upscale, expected) => {
    const given = await pictureOf({ upscale: { ...upscale, image: photo.input } });
    expect([given.width, given.height]).toEqual(expected);
    expect(changedPixels(given, await pictureOf({ ...fox, upscale }))).toEqual([]);
  });

  it.each([
    ["latents", HiresMethod.LATENT],
    ["pixels", HiresMethod.PIXEL],
  ])("a second pass over %s has the larger size", async (_, method) => {
    const picture = await pictureOf({ ...owl, ...size, hires: { scale: 1.5, method } });
    expect([picture.width, picture.height]).toEqual([96, 96]);
  });

  it("a refiner that is the checkpoint itself changes nothing, skipping a layer of CLIP does", async () => {
    const refined = await pictureOf({ ...fox, refiner: { model: checkpoint, switchAt: 0.5 } });
    expect(changedPixels(refined, photo)).toEqual([]);
    expect(meanDifference(await pictureOf({ ...fox, clipSkip: 2 }), photo)).toBeGreaterThan(0);
  });

  it("a LoRA and a VAE of its own change the picture, a LoRA of no strength does not", async ({ skip }) => {
    const [lora, vae] = await Promise.all([modelFile("loras"), modelFile("vae")]);
    if (lora === undefined || vae === undefined) {
      return skip("the server has no LoRA or no VAE");
    }
    const none = { name: lora, modelStrength: 0, clipStrength: 0 };
    expect(changedPixels(await pictureOf({ ...fox, loras: [none] }), photo)).toEqual([]);
    const ofModel = await pictureOf({ ...fox, loras: [{ ...none, modelStrength: 1 }] });
    const ofText = await pictureOf({ ...fox, loras: [{ ...none, clipStrength: 1 }] });
    expect(meanDifference(ofModel, photo)).toBeGreaterThan(0);
    expect(meanDifference(ofText, photo)).toBeGreaterThan(0);
    expect(meanDifference(ofModel, ofText)).toBeGreaterThan(0);
    const picture = await pictureOf({ ...fox, vae, loras: [none] });
    expect([picture.width, picture.height]).toEqual([64, 64]);
  });

  it("ControlNets leave a trace of their images, in the steps that they are given", async ({ skip }) => {
    const model = await modelFile("controlnet");
    if (model === undefined) {
      return skip("the server has no ControlNet");
    }
    const image = photo.input;
    const preprocessor = ControlNetPreprocessor.CANNY;
    const plain = await pictureOf({ ...fox, steps: 4 });
    const controlled = (...controlNets: NonNullable<SpecInit["controlNets"]>) =>
      pictureOf({ ...fox, steps: 4, controlNets });
    expect(changedPixels(await controlled({ model, image, strength: 0 }), plain)).toEqual([]);
    const whole = await controlled({ model, image });
    const late = await controlled({ model, image, start: 0.5 });
    const two = await controlled({ model, image, end: 0.5 }, { model, image, preprocessor });
    for (const picture of [whole, late, two]) {
      expect(meanDifference(picture, plain)).toBeGreaterThan(0);
    }
    expect(meanDifference(late, whole)).toBeGreaterThan(0);
    expect(meanDifference(two, whole)).toBeGreaterThan(0);
  });

  it("a model enlarges a picture, given or drawn, and to a size that is not its own", async ({ skip }) => {
    const model = await modelFile("upscale_models");
    if (model === undefined) {
      return skip("the server has no upscale model");
    }
    const given = await pictureOf({ upscale: { model, image: photo.input } });
    expect(given.width).toBeGreaterThan(64);
    // A given picture has 8 bits, which rounds what a model that sums up many pixels sees.
    expect(meanDifference(given, await pictureOf({ ...fox, upscale: { model } }))).toBeLessThan(1);
    const wide = await pictureOf({ ...fox, upscale: { model, widthPx: 200, heightPx: 100 } });
    expect([wide.width, wide.height]).toEqual([200, 100]);
    const method = HiresMethod.PIXEL;
    const second = await pictureOf({ ...fox, hires: { scale: 1.5, method, upscaleModel: model } });
    expect([second.width, second.height]).toEqual([96, 96]);
  });

  it("puts all features together in one picture", async () => {
    const [lora, controlNet] = await Promise.all([modelFile("loras"), modelFile("controlnet")]);
    const picture = await pictureOf({
      ...owl,
      clipSkip: 2,
      loras: lora === undefined ? [] : [{ name: lora, modelStrength: 0.5 }],
      start: { case: "imageToImage", value: { image: photo.input } },
      controlNets: controlNet === undefined ? [] : [{ model: controlNet, image: photo.input, strength: 0.5 }],
      refiner: { model: checkpoint },
      hires: { scale: 1.5 },
      upscale: { factor: 2 },
    });
    expect([picture.width, picture.height]).toEqual([192, 192]);
  });
});
