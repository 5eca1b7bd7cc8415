import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ProblemSeverity } from "../../gen/comfyrpc/v1/dry_run_pb.js";
import { readJson, writeJson } from "../../src/lib/lossless-json.ts";
import type { SpecInit } from "../support/image-client.ts";
import { failureOf } from "../support/rpc-failure.ts";
import { type ServiceFixture, startServiceFixture } from "../support/start-service.ts";
import { connectWorkflows, type WorkflowClient } from "../support/workflow-client.ts";

const graph = {
  "1": { class_type: "EmptyLatentImage", inputs: { width: 64, height: 64, batch_size: 1 } },
  "2": { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: "demo-sd15.safetensors" } },
  "3": { class_type: "VAEDecode", inputs: { samples: ["1", 0], vae: ["2", 2] } },
  "4": { class_type: "SaveImage", inputs: { images: ["3", 0], filename_prefix: "mine" } },
};

let fixture: ServiceFixture;
let client: WorkflowClient;

beforeAll(async () => {
  fixture = await startServiceFixture();
  client = connectWorkflows(fixture.url);
});

afterAll(async () => {
  client?.[Symbol.dispose]();
  await fixture?.[Symbol.asyncDispose]();
});

async function dryRunOf(spec: SpecInit) {
  const { dryRun } = await client.workflows.validateWorkflow({ spec });
  return dryRun ?? expect.fail("there is no dry run");
}

const dryRunOfGraph = (workflow: unknown) => dryRunOf({ workflow: { json: writeJson(workflow) } });

async function jobCount(): Promise<number> {
  return (await client.jobs.listJobs({})).jobs.length;
}

describe("ValidateWorkflow", () => {
  it("tells of a good spec what would run, and where", async () => {
    const { error, problems, backends, resolvedSpec, graphJson, graphSha256 } = await dryRunOf({
      prompt: "a red fox",
      seed: 7n,
      steps: 3,
    });
    expect({ error, problems }).toEqual({ error: undefined, problems: [] });
    expect(backends).toMatchObject([{ asked: true, runnable: true, problems: [] }]);
    expect(resolvedSpec).toMatchObject({ steps: 3, sampler: "euler", widthPx: 512 });
    expect(readJson(graphJson)).toMatchObject({
      "3": { class_type: "KSampler", inputs: { seed: 7, steps: 3 } },
    });
    expect(graphSha256).toMatch(/^[0-9a-f]{64}$/);
    expect(await jobCount()).toBe(0);
  });

  it("tells of a workflow everything that is wrong with it, by node, input and remedy", async () => {
    const { error, problems, backends, resolvedSpec } = await dryRunOfGraph({
      ...graph,
      "1": { class_type: "EmptyLatentImage", inputs: { width: 1, height: 64, batch_size: 1, colour: 3 } },
      "2": { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: "sd-demo15.safetensors" } },
      "5": { class_type: "Nonsense", inputs: { path: "/etc/passwd" } },
    });
    expect(error).toMatchObject({
      code: 7,
      message: expect.stringContaining("node 5 (Nonsense): path names a file"),
    });
    expect(resolvedSpec).toBeUndefined();
    expect(problems).toMatchObject([{ nodeId: "5", inputName: "path", errorType: "path_not_allowed" }]);
    expect(backends).toMatchObject([
      {
        runnable: false,
        missingNodeClasses: ["Nonsense"],
        missingModels: ["sd-demo15.safetensors"],
        problems: [
          { nodeId: "5", errorType: "missing_node_type", severity: ProblemSeverity.ERROR },
          {
            nodeId: "1",
            inputName: "width",
            errorType: "value_smaller_than_min",
            remedy: expect.stringContaining("give an integer from 16"),
          },
          { nodeId: "1", inputName: "colour", errorType: "unknown_input", severity: ProblemSeverity.WARNING },
          {
            nodeId: "2",
            inputName: "ckpt_name",
            errorType: "value_not_in_list",
            remedy: expect.stringContaining("demo-sd15"),
          },
        ],
      },
    ]);
  });

  it("tells of any other spec which fields are wrong, and which models are missing", async () => {
    const { error, problems, backends } = await dryRunOf({ prompt: "x", model: "none", sampler: "ouler" });
    expect(error).toMatchObject({ code: 3 });
    expect(problems).toMatchObject([
      { field: "spec.model", errorType: "invalid_field", severity: ProblemSeverity.ERROR },
      { field: "spec.sampler", errorType: "invalid_field" },
    ]);
    expect(backends).toMatchObject([{ runnable: false, problems: [], missingModels: ["none"] }]);
  });

  it("tells of a text that is no workflow why", async () => {
    const { error, problems, graphJson } = await dryRunOf({ workflow: { json: "[1]" } });
    expect(error).toMatchObject({ code: 3 });
    expect(problems).toMatchObject([
      { field: "spec.workflow.json", message: expect.stringContaining("is a list") },
    ]);
    expect(graphJson).toBe("");
  });

  it("knows how long it takes when the like has run, and only then", async () => {
    const spec = { prompt: "a fox", seed: 1n, steps: 2, widthPx: 64, heightPx: 64 };
    expect((await dryRunOf(spec)).estimatedRunTime).toBeUndefined();
    await client.images.generate({ spec });
    const { estimatedRunTime, backends } = await dryRunOf({ ...spec, prompt: "a bird", seed: 2n });
    expect(estimatedRunTime).toBeDefined();
    expect(backends[0]?.estimatedRunTime).toEqual(estimatedRunTime);
    expect((await dryRunOf({ ...spec, steps: 3 })).estimatedRunTime).toBeUndefined();
  });
});

describe("validate_only", () => {
  const spec = { prompt: "a red fox", seed: 7n, allowReuse: true, steps: 2, widthPx: 64, heightPx: 64 };
  const validateOnly = true;

  it("answers each creating call with what would become of it, and makes nothing", async () => {
    const before = await jobCount();
    const { images, jobs } = client;
    const requestId = "dry";
    const generated = await images.generate({ spec, validateOnly, requestId });
    expect(generated).toMatchObject({ images: [], dryRun: { problems: [] } });
    expect(generated.result).toBeUndefined();
    const streamed = await Array.fromAsync(images.generateWithProgress({ spec, validateOnly, requestId }));
    expect(streamed).toMatchObject([{ dryRun: { problems: [] } }]);
    expect(streamed[0]?.event).toBeUndefined();
    const submitted = await jobs.submitJob({ spec, validateOnly, requestId });
    expect(submitted).toMatchObject({ dryRun: { resolvedSpec: { seed: 7n } } });
    expect(submitted.job).toBeUndefined();
    const source = { case: "specs" as const, value: { specs: [spec, spec] } };
    expect((await jobs.submitBatch({ source, validateOnly, requestId })).dryRuns).toHaveLength(2);
    expect(await jobCount()).toBe(before);

    const { job } = await jobs.submitJob({ spec, requestId });
    expect(job?.jobId).toBeTruthy();
  });

  it("says whose images would be the answer", async () => {
    const { result } = await client.images.generate({ spec });
    const { dryRun } = await client.jobs.submitJob({ spec, validateOnly });
    expect(dryRun?.reusedJobId).toBe(result?.reusedJobId || result?.jobId);
  });

  it("fails as the call would", async () => {
    const { jobs } = client;
    const wrong = { ...spec, model: "none" };
    expect(await failureOf(jobs.submitJob({ spec: wrong, validateOnly }))).toMatchObject({
      reason: "MODEL_NOT_FOUND",
      fields: ["spec.model"],
    });
    const source = { case: "specs" as const, value: { specs: [spec, wrong] } };
    expect(await failureOf(jobs.submitBatch({ source, validateOnly }))).toMatchObject({
      reason: "MODEL_NOT_FOUND",
      fields: ["specs.specs[1].model"],
    });
    expect(
      await failureOf(
        jobs.submitJob({ spec, validateOnly, options: { retention: { seconds: 99_999_999n } } }),
      ),
    ).toMatchObject({ fields: ["options.retention"] });
  });
});

describe("ConvertWorkflow", () => {
  it("converts what the editor saves, and says what it leaves out", async () => {
    const saved = {
      version: 0.4,
      nodes: [
        {
          id: 1,
          type: "EmptyLatentImage",
          mode: 0,
          inputs: [],
          outputs: [{ name: "LATENT", type: "LATENT", links: [] }],
          widgets_values: [64, 64, 1],
        },
        { id: 2, type: "Note", mode: 0, inputs: [], outputs: [], widgets_values: ["remember"] },
      ],
      links: [],
    };
    const { workflowJson, problems } = await client.workflows.convertWorkflow({
      workflowJson: writeJson(saved),
    });
    expect(readJson(workflowJson)).toMatchObject({ "1": graph["1"] });
    expect(problems).toMatchObject([
      { nodeId: "2", errorType: "note_left_out", severity: ProblemSeverity.WARNING },
    ]);
  });

  it("gives nothing back that is wrong, and refuses what is no workflow", async () => {
    const convert = (value: unknown) => client.workflows.convertWorkflow({ workflowJson: writeJson(value) });
    expect(await convert({ "1": 7 })).toMatchObject({
      workflowJson: "",
      problems: [{ errorType: "malformed_node", message: 'node "1" is a number' }],
    });
    expect(await failureOf(convert([]))).toMatchObject({
      reason: "WORKFLOW_INVALID",
      fields: ["workflow_json"],
    });
  });
});
