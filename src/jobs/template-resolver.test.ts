import { describe, expect, it } from "vitest";
import { ScriptedEngine } from "../../test/support/scripted-engine.ts";
import { never, openWorkflows } from "../../test/support/start-jobs.ts";
import type { ParameterValue } from "../domain/generation.ts";
import type { ImageSource } from "../domain/input-image.ts";
import { classesOf, node, nodeClass } from "../domain/template/testing/graphs.ts";
import { buildParameter } from "../domain/template/testing/parameters.ts";
import type { TemplateRecord, TemplateRevision } from "../storage/template-store.ts";
import { TemplateResolver } from "./template-resolver.ts";
import { WorkflowResolver } from "./workflow-resolver.ts";

const assetId = "a".repeat(64);
const image = {
  assetId,
  fileName: "comfyrpc/a.png",
  widthPx: 1,
  heightPx: 1,
  hasTransparency: false,
  redRange: [0, 255],
} as const;

const template: TemplateRecord = {
  ...{ name: "poster", version: 3, description: "", sha256: "", createTime: new Date(0), aliases: [] },
  graph: {
    "1": node("LoadImage", { image: "example.png" }),
    "2": node("Paint", { image: ["1", 0], style: "oil", seed: 5 }),
    "3": node("SaveImage", { images: ["2", 0], filename_prefix: "x" }),
  },
  parameters: [
    buildParameter("image", "image", ["1.image"]),
    buildParameter("style", "choice", ["2.style"], { default: "oil" }),
    buildParameter("seed", "seed", ["2.seed"]),
  ],
};

const classesWith = (...styles: readonly string[]) => {
  const output = { name: "IMAGE", type: "IMAGE", isList: false };
  const files = { name: "image", type: "COMBO", choices: ["example.png"], options: { image_upload: true } };
  return classesOf(
    { ...nodeClass("LoadImage", [files]), outputs: [output], module: "nodes" },
    {
      ...nodeClass("Paint", [
        { name: "image", type: "IMAGE" },
        { name: "style", type: "COMBO", choices: styles },
        { name: "seed", type: "INT", min: 0, max: 2n ** 64n - 1n },
      ]),
      outputs: [output],
    },
    {
      ...nodeClass("SaveImage", [
        { name: "images", type: "IMAGE" },
        { name: "filename_prefix", type: "STRING" },
      ]),
      isOutput: true,
    },
  );
};

describe("TemplateResolver", () => {
  it("settles the version, every value and the files, and plans the graph with them", async () => {
    const stage = open();
    const { task, plan } = await stage.run({ image: { asset_id: assetId }, seed: "18446744073709551615" });
    expect(stage.asked).toEqual([{ type: "newest" }]);
    expect(task).toEqual({
      ...{ type: "template", name: "poster", version: 3 },
      parameters: { image: { asset_id: assetId }, style: "oil", seed: "18446744073709551615" },
    });
    expect(plan).toMatchObject({
      inputs: [{ assetId, fileName: image.fileName }],
      keeps: "everything",
      graph: {
        "1": { inputs: { image: "comfyrpc/a.png" } },
        "2": { inputs: { image: ["1", 0], style: "oil", seed: 2n ** 64n - 1n } },
        "3": { inputs: { filename_prefix: "comfyrpc/job_0" } },
      },
    });
    expect(stage.looked).toEqual([['spec.template.parameters["image"]', { type: "asset", assetId }]]);
  });

  it("makes the same again of what it has settled", async () => {
    const first = await open().run({ image: { data: "AAAA" } });
    const again = await open(8n).run(first.task.parameters, { version: 3 });
    expect(first.task.parameters.seed).toBe(7);
    expect(again).toEqual(first);
  });

  it("takes what an image that is left out is in the graph", async () => {
    const { task, plan } = await open().run({});
    expect(task.parameters).not.toHaveProperty("image");
    expect(plan).toMatchObject({ inputs: [], graph: { "1": { inputs: { image: "example.png" } } } });
  });

  it("asks the backends again for a choice that is new", async () => {
    const stage = open();
    Object.assign(stage.engine, {
      nodeClasses: async (maxAgeMs: number) => classesWith("oil", ...(maxAgeMs > 1_000 ? [] : ["ink"])),
    });
    expect((await stage.run({ style: "ink" })).task.parameters.style).toBe("ink");
    await expect(stage.run({ style: "chalk" })).rejects.toMatchObject({
      reason: "INVALID_FIELD",
      details: { violations: [{ field: 'spec.template.parameters["style"]' }] },
    });
  });

  it("names the template if its graph is of no use, and the revision that there is not", async () => {
    const stage = open();
    stage.engine.classes = new Map([...classesWith("oil")].filter(([name]) => name !== "Paint"));
    await expect(stage.run({ seed: 1 })).rejects.toMatchObject({
      reason: "WORKFLOW_INVALID",
      details: { violations: [{ field: "spec.template" }], nodes: [{ nodeId: "2", classType: "Paint" }] },
    });
    await expect(stage.run({}, { alias: "production" })).rejects.toMatchObject({
      reason: "TEMPLATE_NOT_FOUND",
      message: expect.stringMatching(/^spec\.template\.alias: .* no alias production/),
      details: { violations: [{ field: "spec.template.alias" }] },
    });
  });
});

function open(seed = 7n) {
  const engine = new ScriptedEngine();
  engine.classes = classesWith("oil");
  const looked: [string, ImageSource][] = [];
  const asked: TemplateRevision[] = [];
  const resolver = new TemplateResolver(10_000, {
    engines: [engine],
    templates: {
      get: async (_, name, revision) => {
        asked.push(revision);
        return name === template.name && revision.type !== "alias" ? template : undefined;
      },
    },
    inputImages: {
      resolve: async (source, field) => {
        looked.push([field, source]);
        return image;
      },
    },
    workflows: new WorkflowResolver({ ...openWorkflows, catalogMaxAgeMs: 0 }, [engine]),
    randomSeed: () => seed,
  });
  const run = (
    parameters: Readonly<Record<string, ParameterValue>>,
    revision?: { readonly version: number } | { readonly alias: string },
  ) =>
    resolver.resolve(
      { type: "template", name: "poster", parameters, ...(revision && { revision }) },
      "comfyrpc/job",
      "",
      never,
    );
  return { engine, looked, asked, run };
}
