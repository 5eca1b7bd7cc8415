import { describe, expect, it } from "vitest";
import { buildInputImage, buildPictureTask } from "../../../test/support/generations.ts";
import { ServiceError } from "../errors.ts";
import type { HiresSpec, PictureTask, ResolvedPicture } from "../generation.ts";
import type { InputImage } from "../input-image.ts";
import { modelNames } from "../model-kind.ts";
import { Problems } from "./problems.ts";
import type { KnownNames, ResolveInputs } from "./resolve-inputs.ts";
import { findCheckpoint, resolvePicture } from "./resolve-picture.ts";
import { resolveUpscaleTask } from "./resolve-upscale.ts";

const names: KnownNames = {
  models: {
    ...modelNames(() => []),
    checkpoint: ["sd15.safetensors", "sdxl\\base.safetensors"],
    lora: ["watercolor.safetensors"],
    vae: ["vae.safetensors"],
  },
  samplers: ["euler", "euler_ancestral", "dpm_2_ancestral", "dpmpp_2m", "dpmpp_2s_ancestral", "dpmpp_sde"],
  schedulers: ["normal", "karras"],
};

const inputs: ResolveInputs = {
  names,
  limits: { maxPixels: 4_194_304, maxUpscaledPixels: 33_554_432, maxSteps: 150, maxImageCount: 10 },
  defaultModel: "",
  nativeSize: undefined,
  randomSeed: () => 42n,
};

function resolve(parts: Partial<PictureTask<InputImage>>, given: ResolveInputs = inputs): ResolvedPicture {
  const problems = new Problems();
  const picture = resolvePicture(buildPictureTask(parts), given, problems);
  problems.throwIfAny();
  return picture;
}

function failure(work: () => unknown): ServiceError {
  try {
    work();
  } catch (error) {
    if (error instanceof ServiceError) {
      return error;
    }
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("findCheckpoint", () => {
  it("takes the one that is asked for, else the configured one, else the first that the backend lists", () => {
    expect(
      findCheckpoint(buildPictureTask({ model: "sd15.safetensors" }), names, "sdxl/base.safetensors"),
    ).toBe("sd15.safetensors");
    expect(findCheckpoint(buildPictureTask(), names, "sdxl/base.safetensors")).toBe("sdxl\\base.safetensors");
    expect(findCheckpoint(buildPictureTask(), names, "")).toBe("sd15.safetensors");
    expect(findCheckpoint(buildPictureTask({ model: "none" }), names, "")).toBeUndefined();
  });
});

describe("resolvePicture", () => {
  it("fills in the documented defaults", () => {
    expect(resolve({})).toEqual({
      type: "picture",
      prompt: "a red fox",
      negativePrompt: "",
      model: "sd15.safetensors",
      widthPx: 512,
      heightPx: 512,
      steps: 20,
      cfg: 7,
      denoise: 1,
      sampler: "euler",
      scheduler: "normal",
      seed: 42n,
      imageCount: 1,
      loras: [],
      controlNets: [],
    });
  });

  it("uses the native size of the model for the sides that are not given", () => {
    const native = { ...inputs, nativeSize: { widthPx: 1024, heightPx: 768 } };
    expect(resolve({ widthPx: 640 }, native)).toMatchObject({
      widthPx: 640,
      heightPx: 768,
    });
  });

  it.each([
    ["euler_a", "euler_ancestral"],
    ["dpm_2_a", "dpm_2_ancestral"],
    ["dpm_plus_plus_2m", "dpmpp_2m"],
    ["dpm_plus_plus_2s_a", "dpmpp_2s_ancestral"],
    ["dpm_plus_plus_sde", "dpmpp_sde"],
    ["dpmpp_2s_a", "dpmpp_2s_ancestral"],
  ])("understands the sampler alias %s as %s", (alias, sampler) => {
    expect(resolve({ sampler: alias }, inputs).sampler).toBe(sampler);
  });

  it("takes a name that every object has for an unknown sampler", () => {
    for (const sampler of ["__proto__", "constructor"]) {
      expect(failure(() => resolve({ sampler }))).toMatchObject({ reason: "SAMPLER_NOT_FOUND" });
    }
  });

  it("gives a LoRA the same strength on both sides unless told otherwise", () => {
    const loras = [
      { name: "watercolor.safetensors", modelStrength: 0.5 },
      { name: "watercolor.safetensors", clipStrength: 0 },
    ];
    expect(resolve({ loras }, inputs).loras).toEqual([
      { name: "watercolor.safetensors", modelStrength: 0.5, clipStrength: 0.5 },
      { name: "watercolor.safetensors", modelStrength: 1, clipStrength: 0 },
    ]);
  });

  it("reports every problem at once, under the reason of the first", () => {
    const bad = {
      model: "none",
      sampler: "eular",
      scheduler: "none",
      vae: "v",
      loras: [{ name: "l" }],
      steps: 20,
      imageCount: 4,
    };
    const limits = { maxPixels: 1_000, maxUpscaledPixels: 1_000, maxSteps: 10, maxImageCount: 2 };
    const error = failure(() => resolve(bad, { ...inputs, limits }));
    expect(error.reason).toBe("MODEL_NOT_FOUND");
    expect(error.details.violations?.map(({ field }) => field)).toEqual([
      "spec.model",
      "spec.sampler",
      "spec.scheduler",
      "spec.loras[0].name",
      "spec.vae",
      "spec.width_px",
      "spec.steps",
      "spec.image_count",
    ]);
  });

  it("names the nearest models for an unknown one", () => {
    const error = failure(() => resolve({ model: "sd-15" }, inputs));
    expect(error.reason).toBe("MODEL_NOT_FOUND");
    expect(error.details.violations?.[0]?.field).toBe("spec.model");
    expect(JSON.parse(error.details.metadata?.nearest ?? "[]")[0]).toBe("sd15.safetensors");
    expect(error.message).toContain("sd15.safetensors");
  });

  it("says so when the backend lists no model at all", () => {
    const none = { ...inputs, names: { ...names, models: modelNames(() => []) } };
    expect(failure(() => resolve({}, none))).toMatchObject({
      reason: "MODEL_NOT_FOUND",
      message: expect.stringContaining("it lists none"),
    });
  });

  it.each([
    ["a small limit", undefined, 200_000, { widthPx: 440, heightPx: 440 }],
    ["an odd native size", { widthPx: 3_000, heightPx: 1_001 }, 4_194_304, { widthPx: 2_048, heightPx: 680 }],
    [
      "a large native size",
      { widthPx: 4_096, heightPx: 4_096 },
      4_194_304,
      { widthPx: 2_048, heightPx: 2_048 },
    ],
  ])("makes the default size fit %s", (_, nativeSize, maxPixels, size) => {
    const limits = { ...inputs.limits, maxPixels };
    expect(resolve({}, { ...inputs, nativeSize, limits })).toMatchObject(size);
  });

  it("makes a side that is not given fit the one that is", () => {
    const limits = { ...inputs.limits, maxPixels: 200_000 };
    expect(resolve({ widthPx: 1_000 }, { ...inputs, limits })).toMatchObject({
      heightPx: 200,
    });
  });

  it("says that it was a default of the server which the backend does not have", () => {
    const error = failure(() => resolve({}, { ...inputs, defaultModel: "gone" }));
    expect(error.message).toContain("the default of this server");
  });

  it("chooses no more steps by default than the operator allows", () => {
    const limits = { ...inputs.limits, maxSteps: 8 };
    expect(resolve({}, { ...inputs, limits }).steps).toBe(8);
  });

  const image = buildInputImage({ widthPx: 1_001, heightPx: 500 });
  const opaque = { type: "inpaint", image, invertMask: false } as const;

  it.each([
    ["is that of the image, in multiples of 8", {}, 4_194_304, [1_000, 496]],
    ["fits the limits of the server in the image's proportions", {}, 125_000, [496, 248]],
    ["fits them where one side can be no shorter", {}, 4_096, [64, 64]],
    ["follows the given side in the image's proportions", { widthPx: 640 }, 4_194_304, [640, 312]],
    ["is what is given", { widthPx: 64, heightPx: 64 }, 4_194_304, [64, 64]],
  ])("gives a picture that is drawn over an image a size that %s", (_, size, maxPixels, expected) => {
    const limits = { ...inputs.limits, maxPixels };
    const picture = resolve({ start: { type: "imageToImage", image }, ...size }, { ...inputs, limits });
    expect([picture.widthPx, picture.heightPx]).toEqual(expected);
    expect(picture.denoise).toBe(0.6);
  });

  it("gives an outpainted picture the size of image and margins, in multiples of 8", () => {
    const start = { type: "outpaint", image, leftPx: 10, topPx: 0, rightPx: 0, bottomPx: 12 } as const;
    expect(resolve({ start })).toMatchObject({
      widthPx: 1_016,
      heightPx: 512,
      denoise: 1,
      start: { featherPx: 40, method: "hard", keepOriginal: true },
    });
    expect(failure(() => resolve({ start: { ...start, rightPx: 2_000 } }))).toMatchObject({
      reason: "INVALID_FIELD",
      details: { violations: [{ field: "spec.outpaint" }] },
    });
    const small = buildInputImage({ widthPx: 100, heightPx: 50 });
    expect(failure(() => resolve({ start: { ...start, image: small } }))).toMatchObject({
      message: expect.stringContaining("extend it more"),
      details: { violations: [{ field: "spec.outpaint" }] },
    });
  });

  it("fades an outpainted picture over less than half of its image, which is all that ComfyUI can", () => {
    const small = buildInputImage({ widthPx: 200, heightPx: 64 });
    const start = { type: "outpaint", image: small, leftPx: 8, topPx: 0, rightPx: 0, bottomPx: 0 } as const;
    expect(resolve({ start }).start).toMatchObject({ featherPx: 31 });
    expect(resolve({ start: { ...start, image } }).start).toMatchObject({ featherPx: 40 });
    expect(resolve({ start: { ...start, featherPx: 31 } }).start).toMatchObject({ featherPx: 31 });
    expect(failure(() => resolve({ start: { ...start, featherPx: 32 } }))).toMatchObject({
      reason: "INVALID_FIELD",
      message: expect.stringContaining("at most 31"),
      details: { violations: [{ field: "spec.outpaint.feather_px" }] },
    });
  });

  it("refuses an opaque image as its own mask, and a mask of another size or of nothing", () => {
    expect(failure(() => resolve({ start: opaque }))).toMatchObject({
      reason: "INPUT_REJECTED",
      details: { violations: [{ field: "spec.inpaint.mask" }] },
    });
    const mask = buildInputImage({ widthPx: 1_000, heightPx: 500 });
    expect(failure(() => resolve({ start: { ...opaque, mask } }))).toMatchObject({
      reason: "INPUT_REJECTED",
      message: expect.stringContaining("1000 x 500"),
    });
    const black = { ...image, redRange: [0, 0] } as const;
    const white = { ...image, redRange: [255, 255], hasTransparency: true } as const;
    expect(failure(() => resolve({ start: { ...opaque, mask: black } }))).toMatchObject({
      reason: "INPUT_REJECTED",
      message: expect.stringContaining("is black everywhere"),
    });
    expect(failure(() => resolve({ start: { ...opaque, mask: white, invertMask: true } })).message).toMatch(
      /is white everywhere.*transparent in a mask does not count/,
    );
    expect(resolve({ start: { ...opaque, mask: white } }).start).toMatchObject({ mask: white });
    const transparent = { ...image, hasTransparency: true };
    expect(resolve({ start: { ...opaque, image: transparent } })).toMatchObject({ denoise: 0.8 });
    expect(resolve({ start: { ...opaque, mask: image } }).start).toMatchObject({
      growPx: 6,
      keepUnmasked: true,
    });
  });

  it("turns a factor, or one side, into the size that it comes to", () => {
    const upscale = { model: "", scaling: "" };
    const known = { ...inputs, names: { ...names, models: { ...names.models, upscaler: ["4x.pth"] } } };
    expect(resolve({ upscale: { ...upscale, factor: 1.5 }, hires: hires({ scale: 2 }) }).upscale).toEqual({
      widthPx: 1_536,
      heightPx: 1_536,
      resize: "crop",
      scaling: "lanczos",
    });
    expect(resolve({ upscale: { ...upscale, heightPx: 100 } }).upscale).toMatchObject({ widthPx: 100 });
    expect(resolve({ upscale: { ...upscale, model: "4x.pth" } }, known).upscale).toEqual({
      model: "4x.pth",
      resize: "crop",
      scaling: "lanczos",
    });
    const tooLarge = { ...inputs, limits: { ...inputs.limits, maxUpscaledPixels: 1_000_000 } };
    expect(
      failure(() => resolve({ upscale: { ...upscale, factor: 4 } }, tooLarge)).details.violations,
    ).toMatchObject([{ field: "spec.upscale.factor" }]);
  });

  it.each([
    ["spec.upscale.factor", { factor: 8 }],
    ["spec.upscale.width_px", { widthPx: 16_384 }],
  ])("refuses %s if it makes a side larger than ComfyUI scales to", (field, size) => {
    const image = buildInputImage({ widthPx: 10, heightPx: 3_000 });
    const problems = new Problems();
    resolveUpscaleTask(
      { type: "upscale", image, upscale: { model: "", scaling: "", ...size } },
      inputs,
      problems,
    );
    expect(failure(() => problems.throwIfAny())).toMatchObject({
      message: expect.stringMatching(/no side may have more than 16384; enlarge it less/),
      details: { violations: [{ field }] },
    });
  });

  it("bounds what a model makes of a picture before that is scaled down", () => {
    const upscaler = ["8x.pth", "4x.pth"];
    const limits = { ...inputs.limits, maxUpscaledPixels: 1_048_576 };
    const given = { ...inputs, limits, names: { ...names, models: { ...names.models, upscaler } } };
    const upscale = (model: string) => ({ model, scaling: "", factor: 1 });
    expect(resolve({ upscale: upscale("4x.pth") }, given).upscale).toMatchObject({ widthPx: 512 });
    expect(failure(() => resolve({ upscale: upscale("8x.pth") }, given))).toMatchObject({
      message: expect.stringMatching(/16777216 pixels.* before .*at most 4194304/),
      details: { violations: [{ field: "spec.upscale.model" }] },
    });
    expect(resolve({ hires: hires({ upscaleModel: "4x.pth" }) }, given).hires).toMatchObject({ scale: 2 });
    expect(
      failure(() => resolve({ hires: hires({ upscaleModel: "8x.pth" }) }, given)).details.violations,
    ).toMatchObject([{ field: "spec.hires.upscale_model" }]);
  });

  it("names every part of a model in several files that is not there or does not fit its family", () => {
    const modelFiles = {
      family: "qwenImage",
      diffusionModel: "none",
      textEncoders: ["one", "two"],
      guidance: 3,
    } as const;
    const error = failure(() => resolve({ modelFiles, vae: "vae.safetensors" }));
    expect(error).toMatchObject({
      reason: "SCHEDULER_NOT_FOUND",
      message: expect.stringContaining("the default of this server"),
    });
    expect(error.details.violations?.map(({ field }) => field)).toEqual([
      "spec.scheduler",
      "spec.model_files.diffusion_model",
      "spec.model_files.text_encoders[0]",
      "spec.model_files.text_encoders[1]",
      "spec.model_files.text_encoders",
      "spec.model_files.guidance",
    ]);
  });

  it("gives sides that latents of the family can have, and refuses others", () => {
    const schedulers = { ...inputs, names: { ...names, schedulers: ["simple"] } };
    const modelFiles = { family: "hunyuanImage", diffusionModel: "m", textEncoders: ["a", "b"] } as const;
    const error = failure(() =>
      resolve({ modelFiles, vae: "vae.safetensors", widthPx: 1_000, scheduler: "simple" }, schedulers),
    );
    expect(error.details.violations).toContainEqual({
      field: "spec.width_px",
      description: "must be a multiple of 32 with models of this family",
    });
    const known = { ...names.models, diffusionModel: ["m"], textEncoder: ["a", "b"] };
    const start = { type: "imageToImage", image } as const;
    const has = { ...schedulers, names: { ...schedulers.names, models: known } };
    expect(resolve({ modelFiles, vae: "vae.safetensors", start }, has)).toMatchObject({
      widthPx: 992,
      heightPx: 480,
    });
  });

  it("refuses to draw the whole picture anew where a part is to be kept", () => {
    const start = { ...opaque, mask: image };
    expect(failure(() => resolve({ start, hires: hires({ scale: 1.5 }) })).details.violations).toMatchObject([
      { field: "spec.hires" },
    ]);
    const refiner = { model: "sd15.safetensors" };
    expect(resolve({ start, refiner }).refiner).toEqual({ model: "sd15.safetensors", switchAt: 0.8 });
    expect(
      failure(() => resolve({ start: { ...start, method: "model" }, refiner })).details.violations,
    ).toMatchObject([{ field: "spec.refiner" }]);
  });
});

function hires(parts: Partial<HiresSpec>): HiresSpec {
  return { scaling: "", upscaleModel: "", ...parts };
}
