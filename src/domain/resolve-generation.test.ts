import { describe, expect, it } from "vitest";
import { ServiceError } from "./errors.ts";
import type { GenerationSpec } from "./generation.ts";
import { modelNames } from "./model-kind.ts";
import { findModel, type KnownNames, type ResolveInputs, resolveGeneration } from "./resolve-generation.ts";

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
  limits: { maxPixels: 4_194_304, maxSteps: 150, maxImageCount: 10 },
  defaultModel: "",
  nativeSize: undefined,
  randomSeed: () => 42n,
};

function spec(parts: Partial<GenerationSpec> = {}): GenerationSpec {
  return {
    prompt: "a red fox",
    negativePrompt: "",
    model: "",
    sampler: "",
    scheduler: "",
    loras: [],
    vae: "",
    output: { stripMetadata: false },
    detach: false,
    allowReuse: false,
    ...parts,
  };
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

describe("findModel", () => {
  it("takes the one that is asked for, else the configured one, else the first that the backend lists", () => {
    expect(findModel(spec({ model: "sd15.safetensors" }), names, "sdxl/base.safetensors")).toBe(
      "sd15.safetensors",
    );
    expect(findModel(spec(), names, "sdxl/base.safetensors")).toBe("sdxl\\base.safetensors");
    expect(findModel(spec(), names, "")).toBe("sd15.safetensors");
    expect(findModel(spec({ model: "none" }), names, "")).toBeUndefined();
  });
});

describe("resolveGeneration", () => {
  it("fills in the documented defaults", () => {
    expect(resolveGeneration(spec(), inputs)).toEqual({
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
      output: { format: "png", inlineLimitBytes: 3_670_016, stripMetadata: false },
      detach: false,
      allowReuse: false,
    });
  });

  it("uses the native size of the model for the sides that are not given", () => {
    const native = { ...inputs, nativeSize: { widthPx: 1024, heightPx: 768 } };
    expect(resolveGeneration(spec({ widthPx: 640 }), native)).toMatchObject({
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
    expect(resolveGeneration(spec({ sampler: alias }), inputs).sampler).toBe(sampler);
  });

  it("gives a LoRA the same strength on both sides unless told otherwise", () => {
    const loras = [
      { name: "watercolor.safetensors", modelStrength: 0.5 },
      { name: "watercolor.safetensors", clipStrength: 0 },
    ];
    expect(resolveGeneration(spec({ loras }), inputs).loras).toEqual([
      { name: "watercolor.safetensors", modelStrength: 0.5, clipStrength: 0.5 },
      { name: "watercolor.safetensors", modelStrength: 1, clipStrength: 0 },
    ]);
  });

  it("reports every problem at once, under the reason of the first", () => {
    const bad = spec({
      model: "none",
      sampler: "eular",
      scheduler: "none",
      vae: "v",
      loras: [{ name: "l" }],
      steps: 20,
      imageCount: 4,
    });
    const limits = { maxPixels: 1_000, maxSteps: 10, maxImageCount: 2 };
    const error = failure(() => resolveGeneration(bad, { ...inputs, limits }));
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
    const error = failure(() => resolveGeneration(spec({ model: "sd-15" }), inputs));
    expect(error.reason).toBe("MODEL_NOT_FOUND");
    expect(error.details.violations?.[0]?.field).toBe("spec.model");
    expect(JSON.parse(error.details.metadata?.nearest ?? "[]")[0]).toBe("sd15.safetensors");
    expect(error.message).toContain("sd15.safetensors");
  });

  it("says so when the backend lists no model at all", () => {
    const none = { ...inputs, names: { ...names, models: modelNames(() => []) } };
    expect(failure(() => resolveGeneration(spec(), none))).toMatchObject({
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
    expect(resolveGeneration(spec(), { ...inputs, nativeSize, limits })).toMatchObject(size);
  });

  it("makes a side that is not given fit the one that is", () => {
    const limits = { ...inputs.limits, maxPixels: 200_000 };
    expect(resolveGeneration(spec({ widthPx: 1_000 }), { ...inputs, limits })).toMatchObject({
      heightPx: 200,
    });
  });

  it("says that it was a default of the server which the backend does not have", () => {
    const error = failure(() => resolveGeneration(spec(), { ...inputs, defaultModel: "gone" }));
    expect(error.message).toContain("the default of this server");
  });

  it("chooses no more steps by default than the operator allows", () => {
    const limits = { ...inputs.limits, maxSteps: 8 };
    expect(resolveGeneration(spec(), { ...inputs, limits }).steps).toBe(8);
  });

  it("gives lossy formats their default quality and PNG none", () => {
    expect(
      resolveGeneration(spec({ output: { format: "webp", stripMetadata: false } }), inputs).output.quality,
    ).toBe(80);
    expect(
      resolveGeneration(spec({ output: { format: "png", stripMetadata: false } }), inputs).output,
    ).not.toHaveProperty("quality");
  });
});
