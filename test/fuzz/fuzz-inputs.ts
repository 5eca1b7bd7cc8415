import { createHash } from "node:crypto";
import { ServiceError } from "../../src/domain/errors.ts";
import type { InputImage } from "../../src/domain/input-image.ts";
import { modelNames } from "../../src/domain/model-kind.ts";
import type { Catalog } from "../../src/engine/engine.ts";
import type { InputImages } from "../../src/jobs/task-images.ts";
import { demoClasses } from "../support/demo-classes.ts";

/** Width and height of images that specs may name, and whether they have transparent pixels. */
const looks: readonly (readonly [widthPx: number, heightPx: number, hasTransparency: boolean])[] = [
  [640, 480, false],
  [640, 480, true],
  [64, 64, true],
  [1, 1, true],
  [7, 9, false],
  [8, 2_000, false],
  [2_048, 2_048, true],
  [16_384, 3, false],
  [3, 30_000, true],
  [6_000, 4_000, false],
];

/** Images that specs may name by these ids, of many shapes. */
export const fuzzImages: readonly InputImage[] = looks.map(([widthPx, heightPx, hasTransparency], i) => {
  const assetId = createHash("sha256").update(`${i}`).digest("hex");
  return {
    assetId,
    fileName: `comfyrpc/${assetId}.png`,
    widthPx,
    heightPx,
    hasTransparency,
    redRange: [0, 255],
  };
});

/** Knows {@link fuzzImages}, by id or by bytes of which the first is their place. */
export const fuzzInputImages: InputImages = {
  async resolve(source, field) {
    const fail = (reason: "ASSET_NOT_FOUND" | "INPUT_REJECTED" | "INVALID_FIELD", description: string) => {
      const violations = [{ field, description }];
      return new ServiceError(reason, `${field}: ${description}`, { violations });
    };
    switch (source.type) {
      case "asset": {
        const image = fuzzImages.find(({ assetId }) => assetId === source.assetId);
        if (image === undefined) {
          throw fail("ASSET_NOT_FOUND", "there is no such asset");
        }
        return image;
      }
      case "data": {
        const image = fuzzImages[source.data[0] ?? 0];
        if (image === undefined) {
          throw fail("INPUT_REJECTED", "is no image");
        }
        return image;
      }
      case "url":
        throw fail("INVALID_FIELD", "this server fetches no images");
    }
  },
};

/** What the built-in engine lists. */
export const demoCatalog: Catalog = {
  models: modelNames((kind) => {
    switch (kind) {
      case "checkpoint":
        return offered("CheckpointLoaderSimple", "ckpt_name");
      case "lora":
        return offered("LoraLoader", "lora_name");
      case "vae":
        return offered("VAELoader", "vae_name");
      case "controlnet":
        return offered("ControlNetLoader", "control_net_name");
      case "upscaler":
        return offered("UpscaleModelLoader", "model_name");
      case "diffusionModel":
        return offered("UNETLoader", "unet_name");
      case "textEncoder":
        return offered("CLIPLoader", "clip_name");
      case "embedding":
        return [];
    }
  }),
  samplers: offered("KSampler", "sampler_name"),
  schedulers: offered("KSampler", "scheduler"),
};

function offered(className: string, inputName: string): readonly string[] {
  const choices = demoClasses.get(className)?.inputs.find(({ name }) => name === inputName)?.choices;
  return (choices ?? []).map(String);
}
