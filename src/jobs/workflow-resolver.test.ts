import { describe, expect, it } from "vitest";
import { demoClasses } from "../../test/support/demo-classes.ts";
import { buildNodeClass } from "../../test/support/node-classes.ts";
import { ScriptedEngine } from "../../test/support/scripted-engine.ts";
import { never, openWorkflows } from "../../test/support/start-jobs.ts";
import type { InputImage } from "../domain/input-image.ts";
import type { NodeClasses } from "../domain/node-class.ts";
import { writeJson } from "../lib/lossless-json.ts";
import { WorkflowResolver } from "./workflow-resolver.ts";

const classesWithout = (...names: readonly string[]): NodeClasses =>
  new Map([...demoClasses].filter(([name]) => !names.includes(name)));

const graph = {
  "1": { class_type: "LoadImage", inputs: { image: "mine.png" } },
  "2": { class_type: "EmptyLatentImage", inputs: { width: 64, height: 64, batch_size: 1, seed: 5 } },
  "3": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "mine" } },
};

const image: InputImage = {
  assetId: "a".repeat(64),
  fileName: "comfyrpc/a.png",
  widthPx: 1,
  heightPx: 1,
  hasTransparency: false,
  redRange: [0, 255],
};

function open(...has: readonly NodeClasses[]) {
  const engines = has.map((classes, i) => Object.assign(new ScriptedEngine(), { name: `b${i}`, classes }));
  const resolver = new WorkflowResolver({ ...openWorkflows, catalogMaxAgeMs: 0 }, engines);
  const resolve = (value: unknown, images: Readonly<Record<string, InputImage>> = {}) =>
    resolver.resolve(
      { type: "workflow", json: writeJson(value), images },
      "comfyrpc/job",
      { workflow: "spec.workflow.json", images: "spec.workflow.images" },
      never,
    );
  return { engines, resolve };
}

describe("WorkflowResolver", () => {
  it("plans a workflow under names of its own, with the images that were given", async () => {
    const { task, plan } = await open(demoClasses).resolve(graph, { "1.image": image });
    const asItRuns = {
      ...graph,
      "1": { class_type: "LoadImage", inputs: { image: "comfyrpc/a.png" } },
      "3": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "comfyrpc/job_0" } },
    };
    expect(plan).toEqual({
      graph: asItRuns,
      inputs: [{ assetId: image.assetId, fileName: image.fileName }],
      images: [],
      keeps: "everything",
      seeds: {},
    });
    expect(task).toEqual({ type: "workflow", json: writeJson(asItRuns), images: { "1.image": image } });
  });

  it("names each thing that is wrong, with its node", async () => {
    const wrong = {
      ...graph,
      "2": { class_type: "Nonsense", inputs: {}, _meta: { title: "Mine" } },
      "3": { class_type: "SaveImage", inputs: { images: ["9", 0], filename_prefix: "x" } },
    };
    await expect(open(demoClasses).resolve(wrong)).rejects.toMatchObject({
      reason: "WORKFLOW_INVALID",
      message: expect.stringMatching(
        /^spec\.workflow\.json: node 2 \(Nonsense "Mine"\): the backend has no node class Nonsense; .* \(and 1 more\)$/,
      ),
      details: {
        violations: [{ field: "spec.workflow.json" }],
        nodes: [
          { nodeId: "2", classType: "Nonsense", title: "Mine", errorType: "missing_node_type" },
          { nodeId: "3", inputName: "images", errorType: "linked_node_missing" },
        ],
      },
    });
  });

  it("passes on nodes of a class that the backend does not describe", async () => {
    const classes = new Map([
      ...demoClasses,
      ["Riddle", buildNodeClass("Riddle", { isUndescribed: true })] as const,
    ]);
    const riddle = { class_type: "Riddle", inputs: { of: ["1", 0], size: 5, filename_prefix: "mine" } };
    const { plan } = await open(classes).resolve({ ...graph, "3": riddle });
    expect(plan.graph["3"]).toEqual({
      ...riddle,
      inputs: { ...riddle.inputs, filename_prefix: "comfyrpc/job_0" },
    });
  });

  it("puts what is not allowed before what is wrong", async () => {
    const inputs = { images: ["9", 0], filename_prefix: "../mine" };
    await expect(
      open(demoClasses).resolve({ "3": { class_type: "SaveImage", inputs } }),
    ).rejects.toMatchObject({
      reason: "NODE_NOT_ALLOWED",
      details: { nodes: [{ errorType: "path_not_allowed" }, { errorType: "linked_node_missing" }] },
    });
  });

  it("names the images that have no place, and the text that is no workflow", async () => {
    await expect(open(demoClasses).resolve(graph, { "7.image": image })).rejects.toMatchObject({
      reason: "INVALID_FIELD",
      details: { violations: [{ field: 'spec.workflow.images["7.image"]' }] },
    });
    await expect(open(demoClasses).resolve([])).rejects.toMatchObject({
      reason: "WORKFLOW_INVALID",
      message: expect.stringMatching(/^spec\.workflow\.json: the workflow is a list/),
      details: { violations: [{ field: "spec.workflow.json" }] },
    });
    await expect(open(demoClasses).resolve({ "1": 7 })).rejects.toMatchObject({
      reason: "WORKFLOW_INVALID",
      details: { nodes: [{ errorType: "malformed_node" }] },
    });
  });

  it("takes what every backend that is up can run", async () => {
    const { engines, resolve } = open(demoClasses, classesWithout("LoadImage"));
    await expect(resolve(graph)).rejects.toMatchObject({
      reason: "WORKFLOW_INVALID",
      message: expect.stringContaining("the backend has no node class LoadImage"),
    });
    engines[1]?.setState("down");
    expect((await resolve(graph)).plan.graph["1"]?.class_type).toBe("LoadImage");
  });

  it("asks again for what it does not know", async () => {
    const { engines, resolve } = open(classesWithout("LoadImage"));
    const [engine] = engines;
    const ages: number[] = [];
    Object.assign(engine ?? {}, {
      nodeClasses: async (maxAgeMs: number) => {
        ages.push(maxAgeMs);
        return ages.length > 1 ? demoClasses : classesWithout("LoadImage");
      },
    });
    await resolve(graph);
    expect(ages).toEqual([0, 1_000]);
  });
});
