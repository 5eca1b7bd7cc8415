import { describe, expect, it } from "vitest";
import type { Json } from "../json.ts";
import { difference, runNode, valueIn } from "../testing/run-node.ts";
import { pixelsOf, testDraw, testLatent, testModel, testSample, testText } from "../testing/test-values.ts";
import { isOfKind } from "./node.ts";
import type { Latent, Value } from "./value.ts";

const base = testModel("demo-sdxl.safetensors");
const refiner = testModel("demo-sdxl_refiner.safetensors");

describe("a sampler that hands over", () => {
  it("does all steps as the plain sampler does", async () => {
    expect(await pixelsOf(await testSample("KSamplerAdvanced"))).toEqual(await testDraw());
  });

  it("leaves the more noise the fewer steps it does", async () => {
    const clean = await testDraw({ model: base });
    const distances = [];
    for (const end_at_step of [20, 16, 10, 4]) {
      distances.push(difference(await pixelsOf(await begun(end_at_step)), clean));
    }
    expect(distances[0]).toBe(0);
    expect(distances).toEqual(distances.toSorted((a, b) => a - b));
  });

  it("leaves none if it is to leave none", async () => {
    const done = await testSample("KSamplerAdvanced", { model: base, end_at_step: 10 });
    expect(done.noise).toBe(0);
  });

  it("has its picture finished by the one that goes on, which draws the same scene", async () => {
    const finished = await pixelsOf(await goneOn(await begun(16), 16));
    const [byBase, byRefiner] = [await testDraw({ model: base }), await testDraw({ model: refiner })];
    expect(difference(finished, byBase)).toBeGreaterThan(0.5);
    expect(difference(finished, byBase)).toBeLessThan(difference(byRefiner, byBase) / 4);
  });

  it("has more of it done by the other, the earlier it hands over", async () => {
    const byBase = await testDraw({ model: base });
    const at = async (step: number) =>
      difference(await pixelsOf(await goneOn(await begun(step), step)), byBase);
    expect(await at(8)).toBeGreaterThan((await at(16)) * 1.5);
  });

  it("makes the same when the same model goes on", async () => {
    const finished = await goneOn(await begun(16), 16, { model: base });
    expect(difference(await pixelsOf(finished), await testDraw({ model: base }))).toBeLessThan(0.1);
  });

  it("has noise left in its picture if the other begins too late", async () => {
    const late = await goneOn(await begun(10), 16);
    expect(late.noise).toBeCloseTo(0.5 - 0.2);
  });

  it("is not gone on with where there is no noise left", async () => {
    const done = await testSample("KSamplerAdvanced", { model: base });
    expect(await pixelsOf(await goneOn(done, 10))).toEqual(await pixelsOf(done));
  });

  it("is painted over by one that adds noise of its own", async () => {
    const done = await testSample("KSamplerAdvanced", { model: base });
    const positive = testText("a boat on the sea at sunset");
    const again = { model: refiner, positive, latent_image: done, start_at_step: 5 };
    const painted = await pixelsOf(await testSample("KSamplerAdvanced", again));
    expect(difference(painted, await pixelsOf(done))).toBeGreaterThan(10);
  });
});

describe("a sampler in parts", () => {
  it.each(["SamplerCustom", "SamplerCustomAdvanced"])(
    "%s does what the plain one does",
    async (classType) => {
      const { output, denoised } = await inParts(classType, await sigmas());
      expect(await pixelsOf(output)).toEqual(await testDraw());
      expect(await pixelsOf(denoised)).toEqual(await testDraw());
    },
  );

  it.each(["SamplerCustom", "SamplerCustomAdvanced"])("%s heeds denoise", async (classType) => {
    const latent_image = await testSample("KSampler", { positive: testText("a boat on the sea") });
    const { output } = await inParts(classType, await sigmas({ denoise: 0.4 }), { latent_image });
    expect(await pixelsOf(output)).toEqual(await testDraw({ latent_image, denoise: 0.4 }));
    const nothing = await inParts(classType, await sigmas({ denoise: 0 }), { latent_image });
    expect(await pixelsOf(nothing.output)).toEqual(await pixelsOf(latent_image));
  });

  it("can have the schedule of a family of models", async () => {
    const flux2 = async (width: number) =>
      valueIn(await runNode("Flux2Scheduler", { steps: 20, width, height: 1024 }), "SIGMAS");
    const [square, wide] = [
      await inParts("SamplerCustomAdvanced", await flux2(1024)),
      await inParts("SamplerCustomAdvanced", await flux2(2048)),
    ];
    expect(square.output.noise).toBe(0);
    expect(await pixelsOf(square.output)).not.toEqual(await pixelsOf(wide.output));
  });

  it("guides by the positive text alone without a negative one", async () => {
    const guider = valueIn(
      await runNode("BasicGuider", { model: testModel(), conditioning: testText("a red fox in the snow") }),
      "GUIDER",
    );
    const { output } = await inParts("SamplerCustomAdvanced", await sigmas(), { guider });
    expect(await pixelsOf(output)).toEqual(await testDraw({ cfg: 1 }));
  });

  it("hands over between the parts of split sigmas, without noise in the denoised output", async () => {
    const split = await runNode("SplitSigmas", { sigmas: await sigmas(), step: 12 });
    const [high, low] = split.values;
    const first = await inParts("SamplerCustomAdvanced", high);
    expect(first.output.noise).toBeCloseTo(0.4);
    expect(first.denoised.noise).toBe(0);
    const noise = valueIn(await runNode("DisableNoise", {}), "NOISE");
    const second = await inParts("SamplerCustomAdvanced", low, { noise, latent_image: first.output });
    expect(second.output.noise).toBeCloseTo(0);
    expect(difference(await pixelsOf(second.output), await testDraw())).toBeLessThan(0.1);
  });
});

/** What the base model leaves after some of 20 steps. */
function begun(end_at_step: number): Promise<Latent> {
  return testSample("KSamplerAdvanced", { model: base, end_at_step, return_with_leftover_noise: "enable" });
}

/** What the refiner makes of it. */
function goneOn(
  latent_image: Latent,
  start_at_step: number,
  changes: Record<string, Value> = {},
): Promise<Latent> {
  return testSample("KSamplerAdvanced", {
    model: refiner,
    add_noise: "disable",
    noise_seed: 0,
    latent_image,
    start_at_step,
    ...changes,
  });
}

async function sigmas(changes: Record<string, Json> = {}): Promise<Value> {
  const inputs = { model: testModel(), scheduler: "normal", steps: 20, denoise: 1, ...changes };
  return valueIn(await runNode("BasicScheduler", inputs), "SIGMAS");
}

async function inParts(
  classType: string,
  sigmas: Value | Json | undefined,
  changes: Record<string, Value> = {},
): Promise<{ readonly output: Latent; readonly denoised: Latent }> {
  const guide = {
    model: testModel(),
    positive: testText("a red fox in the snow"),
    negative: testText(""),
    cfg: 7,
  };
  const own =
    classType === "SamplerCustom"
      ? { ...guide, add_noise: true, noise_seed: 7 }
      : {
          noise: valueIn(await runNode("RandomNoise", { noise_seed: 7 }), "NOISE"),
          guider: valueIn(await runNode("CFGGuider", guide), "GUIDER"),
        };
  const result = await runNode(classType, {
    ...own,
    sampler: valueIn(await runNode("KSamplerSelect", { sampler_name: "euler" }), "SAMPLER"),
    sigmas: sigmas ?? null,
    latent_image: await testLatent(),
    ...changes,
  });
  const [output, denoised] = result.values.filter((value) => isOfKind(value, "LATENT"));
  return { output: output ?? expect.fail("no output"), denoised: denoised ?? expect.fail("no output") };
}
