import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { assertSpecLaws, specMessages } from "../../test/fuzz/spec-laws.ts";
import { buildSpec } from "../../test/support/generations.ts";
import { ScriptedEngine } from "../../test/support/scripted-engine.ts";
import { never, openWorkflows } from "../../test/support/start-jobs.ts";
import { SpecResolver } from "./spec-resolver.ts";

const inputImages = { resolve: () => Promise.reject(new Error("no image is expected")) };
const templates = { get: async () => undefined };
const jobId = "00000000-0000-4000-8000-000000000000";

function open(...checkpoints: readonly string[][]) {
  const engines = checkpoints.map((names) => {
    const engine = new ScriptedEngine();
    engine.has = { ...engine.has, models: { ...engine.has.models, checkpoint: names } };
    return engine;
  });
  const options = {
    limits: { maxPixels: 4_194_304, maxUpscaledPixels: 33_554_432, maxSteps: 150, maxImageCount: 10 },
    defaultModel: "",
    aiMark: "on" as const,
    catalogMaxAgeMs: 0,
    ...openWorkflows,
  };
  const resolver = new SpecResolver(options, { engines, inputImages, templates, randomSeed: () => 7n });
  return { engines, resolve: (model = "") => resolver.resolve(buildSpec({ model }), jobId, "", never) };
}

describe("SpecResolver", () => {
  it("knows the names that every backend has, so that any of them can run the job", async () => {
    const { resolve } = open(["a", "b", "c"], ["c", "b"]);
    expect((await resolve()).generation.task).toMatchObject({ model: "b" });
    expect((await resolve("c")).generation.task).toMatchObject({ model: "c" });
    await expect(resolve("a")).rejects.toMatchObject({ reason: "MODEL_NOT_FOUND" });
  });

  it("goes by the backends that are up, and by all if none is", async () => {
    const { engines, resolve } = open(["a", "b"], ["b"]);
    engines[1]?.setState("down");
    expect((await resolve()).generation.task).toMatchObject({ model: "a" });
    engines[0]?.setState("down");
    expect((await resolve()).generation.task).toMatchObject({ model: "b" });
  });

  it("gives equal keys to what gives equal images, whatever the job is called", async () => {
    const { engines } = open(["a"]);
    const options = {
      limits: { maxPixels: 4_194_304, maxUpscaledPixels: 33_554_432, maxSteps: 150, maxImageCount: 10 },
      defaultModel: "",
      aiMark: "on" as const,
      catalogMaxAgeMs: 0,
      ...openWorkflows,
    };
    const resolver = new SpecResolver(options, { engines, inputImages, templates, randomSeed: () => 7n });
    const keyOf = async (spec: Parameters<typeof buildSpec>[0], id = jobId) =>
      (await resolver.resolve(buildSpec(spec), id, "", never)).reuseKey;
    const key = await keyOf({});
    expect(await keyOf({ detach: true }, "11111111-0000-4000-8000-000000000000")).toBe(key);
    expect(await keyOf({ seed: 8n })).not.toBe(key);
    expect(await keyOf({ output: { metadata: "strip" } })).not.toBe(key);
    expect(await keyOf({ output: { format: "webp" } })).not.toBe(key);
    expect(await keyOf({ output: { aiMark: false } })).not.toBe(key);
    expect(await keyOf({ output: { aiMark: true, inlineLimitBytes: 1 } })).toBe(key);
  });

  it("makes graphs that the built-in engine would run of any specs, or says what is wrong with which field", async () => {
    await fc.assert(
      fc.asyncProperty(specMessages, async (spec) => {
        await assertSpecLaws(spec);
      }),
      { numRuns: 500 },
    );
  });
});
