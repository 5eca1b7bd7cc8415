import { describe, expect, it } from "vitest";
import { buildNodeClass } from "../../test/support/node-classes.ts";
import { ScriptedEngine } from "../../test/support/scripted-engine.ts";
import { never } from "../../test/support/start-jobs.ts";
import { type ModelNames, modelNames } from "../domain/model-kind.ts";
import type { NodeClass } from "../domain/node-class.ts";
import type { Engine } from "../engine/engine.ts";
import { CatalogService, type ModelFilter, type NodeClassFilter } from "./catalog-service.ts";

function engine(
  name: string,
  models: Partial<ModelNames>,
  classes: readonly NodeClass[] = [],
): ScriptedEngine {
  const scripted = new ScriptedEngine();
  scripted.name = name;
  scripted.has = { ...scripted.has, models: { ...modelNames(() => []), ...models } };
  scripted.classes = new Map(classes.map((one) => [one.name, one]));
  return scripted;
}

function open(...engines: readonly Engine[]): CatalogService {
  return new CatalogService({ catalogMaxAgeMs: 0, nodeClassesMaxAgeMs: 0 }, { engines });
}

const any = { kinds: [], nameContains: "" };
const anyClass = { nameContains: "", category: "" };

describe("CatalogService", () => {
  it("lists models of all backends by kind and name, and says who has each", async () => {
    const catalog = open(
      engine("a", { lora: ["z", "B"], checkpoint: ["m"] }),
      engine("b", { lora: ["a", "B"], embedding: ["word"] }),
    );
    expect(await catalog.models(any, "", never)).toEqual({
      entries: [
        { kind: "checkpoint", name: "m", backends: ["a"] },
        { kind: "lora", name: "B", backends: ["a", "b"] },
        { kind: "lora", name: "a", backends: ["b"] },
        { kind: "lora", name: "z", backends: ["a"] },
        { kind: "embedding", name: "word", backends: ["b"] },
      ],
      backends: ["a", "b"],
    });
  });

  it("lists what one backend has, also when it is down", async () => {
    const b = engine("b", { checkpoint: ["n"] });
    b.setState("down");
    const catalog = open(engine("a", { checkpoint: ["m"] }), b);
    const ofB = { entries: [{ kind: "checkpoint", name: "n", backends: ["b"] }], backends: ["b"] };
    expect(await catalog.models(any, "b", never)).toEqual(ofB);
    expect((await catalog.models(any, "", never)).backends).toEqual(["a"]);
  });

  it("filters by kind, and by part of the name whatever its case", async () => {
    const catalog = open(engine("a", { checkpoint: ["SDXL/base", "sd15"], lora: ["sdxl-neon", "other"] }));
    const namesOf = async (filter: Partial<ModelFilter>) =>
      (await catalog.models({ ...any, ...filter }, "", never)).entries.map(({ name }) => name);
    expect(await namesOf({ nameContains: "sdXL" })).toEqual(["SDXL/base", "sdxl-neon"]);
    expect(await namesOf({ kinds: ["lora", "vae"] })).toEqual(["other", "sdxl-neon"]);
    expect(await namesOf({ kinds: ["lora"], nameContains: "neon" })).toEqual(["sdxl-neon"]);
  });

  it("lists samplers and schedulers where they first come up", async () => {
    const [a, b] = [engine("a", {}), engine("b", {})];
    a.has = { ...a.has, samplers: ["euler", "ddim"], schedulers: ["normal"] };
    b.has = { ...b.has, samplers: ["new", "euler"], schedulers: ["normal", "beta"] };
    const catalog = open(a, b);
    expect((await catalog.samplers("", never)).entries).toEqual([
      { name: "euler", backends: ["a", "b"] },
      { name: "ddim", backends: ["a"] },
      { name: "new", backends: ["b"] },
    ]);
    expect((await catalog.schedulers("b", never)).entries).toEqual([
      { name: "normal", backends: ["b"] },
      { name: "beta", backends: ["b"] },
    ]);
  });

  it("lists node classes by name, as the first backend has them, and says where others differ", async () => {
    const [loader, otherLoader] = [
      buildNodeClass("Loader"),
      buildNodeClass("Loader", { description: "another" }),
    ];
    const catalog = open(
      engine("a", {}, [buildNodeClass("Save"), loader]),
      engine("b", {}, [buildNodeClass("Save"), otherLoader, buildNodeClass("Add")]),
    );
    const { entries } = await catalog.nodeClasses(anyClass, "", never);
    expect(entries.map(({ name, backends, differs }) => [name, backends, differs])).toEqual([
      ["Add", ["b"], false],
      ["Loader", ["a", "b"], true],
      ["Save", ["a", "b"], false],
    ]);
    expect((await catalog.nodeClass("Loader", "", never)).nodeClass).toBe(loader);
    expect((await catalog.nodeClass("Loader", "b", never)).nodeClass).toBe(otherLoader);
  });

  it("sees new node classes, and merges no others again", async () => {
    const a = engine("a", {}, [buildNodeClass("Old")]);
    const catalog = open(a);
    const first = await catalog.nodeClass("Old", "", never);
    expect(await catalog.nodeClass("Old", "", never)).toBe(first);
    a.classes = new Map([["New", buildNodeClass("New")]]);
    expect((await catalog.nodeClasses(anyClass, "", never)).entries.map(({ name }) => name)).toEqual(["New"]);
  });

  it("filters node classes by either name, and by category and what is below it", async () => {
    const catalog = open(
      engine("a", {}, [
        buildNodeClass("KSampler", { category: "sampling" }),
        buildNodeClass("ImageScale", { displayName: "Upscale Image", category: "image/upscaling" }),
        buildNodeClass("Blur", { category: "imagery" }),
        buildNodeClass("Invert", { category: "image" }),
      ]),
    );
    const namesOf = async (filter: Partial<NodeClassFilter>) =>
      (await catalog.nodeClasses({ ...anyClass, ...filter }, "", never)).entries.map(({ name }) => name);
    expect(await namesOf({ nameContains: "upscale" })).toEqual(["ImageScale"]);
    expect(await namesOf({ nameContains: "ksam" })).toEqual(["KSampler"]);
    expect(await namesOf({ category: "image" })).toEqual(["ImageScale", "Invert"]);
  });

  it("names the backends and classes there are in place of one that there is not", async () => {
    const catalog = open(engine("a", {}, [buildNodeClass("KSampler")]), engine("b", {}));
    await expect(catalog.models(any, "c", never)).rejects.toMatchObject({
      reason: "INVALID_FIELD",
      message: expect.stringContaining("a, b"),
      details: { violations: [{ field: "backend" }] },
    });
    await expect(catalog.nodeClass("KSamplr", "", never)).rejects.toMatchObject({
      reason: "NODE_CLASS_NOT_FOUND",
      message: expect.stringContaining("KSampler"),
      details: { metadata: { name: "KSamplr", nearest: '["KSampler"]' } },
    });
  });
});
