import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromJson, type JsonObject, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ImageMetadata } from "../../gen/comfyrpc/v1/generation_pb.js";
import { ParameterType } from "../../gen/comfyrpc/v1/template_pb.js";
import { readJson, writeJson } from "../../src/lib/lossless-json.ts";
import { hasPostgres, startTestPostgres } from "../support/postgres.ts";
import { expectNoLeak, failureOf } from "../support/rpc-failure.ts";
import { type ServiceFixture, startServiceFixture } from "../support/start-service.ts";
import { connectWorkflows, type WorkflowClient, workflowClientKinds } from "../support/workflow-client.ts";

let fixture: ServiceFixture;

beforeAll(async () => {
  fixture = await startServiceFixture();
});

afterAll(() => fixture?.[Symbol.asyncDispose]());

const steps = {
  ...{ name: "steps", type: ParameterType.INTEGER, targets: [{ nodeId: "3", inputName: "steps" }] },
  ...{ min: 1, max: 50 },
};

describe.each(workflowClientKinds)("templates over $name", ({ name: protocol, connect }) => {
  let client: WorkflowClient;
  beforeAll(() => {
    client = connect(fixture.url);
  });
  afterAll(() => client?.[Symbol.dispose]());

  /** Names of both protocols apart, and behind those that come with the service. */
  const named = (name: string) => `z-${name}-${protocol.toLowerCase()}`;

  it("those that come with the service are there", async () => {
    const { templates, nextPageToken } = await client.workflows.listTemplates({ pageSize: 4 });
    expect(templates.map(({ name }) => name)).toEqual([
      "flux-dev",
      "image-to-image",
      "inpaint",
      expect.any(String),
    ]);
    expect(templates.every(({ workflowJson }) => workflowJson === "")).toBe(true);
    const rest = await client.workflows.listTemplates({ pageToken: nextPageToken });
    expect(rest.templates.map(({ name }) => name)).toContain("upscale");
    expect(rest.nextPageToken).toBe("");
    const foreign = client.workflows.listTemplateVersions({ name: "upscale", pageToken: nextPageToken });
    expect(await failureOf(foreign)).toMatchObject({ reason: "INVALID_FIELD", fields: ["page_token"] });
  });

  it("a workflow is registered, in versions, and looked at", async () => {
    const name = named("poster");
    const first = await client.workflows.registerTemplate({ name, workflowJson, description: "For walls." });
    expect(first).toMatchObject({ created: true, template: { version: 1, description: "For walls." } });
    expect(first.template?.parameters.map((parameter) => parameter.name)).toContain("negative_prompt");

    const second = await client.workflows.registerTemplate({ name, workflowJson, parameters: [steps] });
    expect(second).toMatchObject({ created: true, template: { version: 2 } });
    const again = await client.workflows.registerTemplate({ name, workflowJson, parameters: [steps] });
    expect(again).toMatchObject({ created: false, template: second.template });

    const newest = await client.workflows.getTemplate({ name });
    expect(newest.template).toEqual(second.template);
    expect(newest.template?.workflowJson).toContain("18446744073709551615");
    expect(newest.template?.parameters).toMatchObject([steps]);
    const [parameter] = newest.template?.parameters ?? [];
    expect(parameter?.defaultValue && toJson(ValueSchema, parameter.defaultValue)).toBe(20);
    const old = await client.workflows.getTemplate({ name, revision: { case: "version", value: 1 } });
    expect(old.template).toEqual(first.template);

    const page = await client.workflows.listTemplateVersions({ name, pageSize: 1 });
    const { templates } = await client.workflows.listTemplateVersions({
      name,
      pageToken: page.nextPageToken,
    });
    expect([...page.templates, ...templates].map(({ version }) => version)).toEqual([2, 1]);
  });

  it("a registration is only checked if that is all that is asked for", async () => {
    const name = named("checked");
    const request = { name, workflowJson, parameters: [steps] };
    const checked = await client.workflows.registerTemplate({ ...request, validateOnly: true });
    expect(checked).toMatchObject({ created: false, template: { name, version: 0 } });
    expect(await failureOf(client.workflows.getTemplate({ name }))).toMatchObject({
      ...{ code: "NotFound", reason: "TEMPLATE_NOT_FOUND" },
    });
    await client.workflows.registerTemplate(request);
    const known = await client.workflows.registerTemplate({ ...request, validateOnly: true });
    expect(known.template?.version).toBe(1);
  });

  it("parameters are proposed, and can be changed and registered", async () => {
    const { parameters } = await client.workflows.proposeParameters({ workflowJson });
    expect(parameters.map((parameter) => parameter.name)).toEqual([
      ...["prompt", "negative_prompt", "width", "height", "batch_size", "steps", "cfg"],
      ...["sampler", "scheduler", "seed", "checkpoint"],
    ]);
    const changed = parameters.filter(({ name }) => name === "sampler" || name === "prompt");
    const name = named("proposed");
    const { template } = await client.workflows.registerTemplate({ name, workflowJson, parameters: changed });
    expect(template?.parameters).toEqual(changed);
  });

  it("aliases point to versions, move, and keep them from being deleted", async () => {
    const name = named("aliased");
    const alias = "production";
    for (const description of ["one", "two"]) {
      await client.workflows.registerTemplate({ name, workflowJson, description });
    }
    const set = await client.workflows.setTemplateAlias({ name, alias, version: 1 });
    expect(set.template).toMatchObject({ version: 1, aliases: [alias], workflowJson: "" });
    const byAlias = () => client.workflows.getTemplate({ name, revision: { case: "alias", value: alias } });
    expect((await byAlias()).template?.version).toBe(1);
    const removal = await failureOf(client.workflows.deleteTemplate({ name, version: 1 }));
    expect(removal).toMatchObject({ code: "FailedPrecondition", reason: "TEMPLATE_IN_USE" });
    await client.workflows.setTemplateAlias({ name, alias, version: 2 });
    await client.workflows.deleteTemplate({ name, version: 1 });
    expect((await byAlias()).template?.version).toBe(2);
    await client.workflows.deleteTemplateAlias({ name, alias });
    expect(await failureOf(byAlias())).toMatchObject({ reason: "TEMPLATE_NOT_FOUND" });
    await client.workflows.deleteTemplate({ name });
    expect(await failureOf(client.workflows.listTemplateVersions({ name }))).toMatchObject({
      reason: "TEMPLATE_NOT_FOUND",
    });
  });

  it("the schema of the parameters has what the backend lists now", async () => {
    const answer = await client.workflows.getTemplateSchema({ name: "text-to-image" });
    const schema: unknown = JSON.parse(answer.jsonSchema);
    expect(schema).toMatchObject({
      $schema: "https://json-schema.org/draft/2020-12/schema",
      properties: {
        prompt: { type: "string" },
        sampler: { enum: expect.arrayContaining(["euler"]) },
        checkpoint: { enum: expect.arrayContaining(["demo-sd15.safetensors"]) },
      },
      required: ["prompt"],
      additionalProperties: false,
    });
    expect(answer.version).toBe(1);
  });

  it.each<[string, (client: WorkflowClient) => Promise<unknown>, Record<string, unknown>]>([
    [
      "a name with capitals",
      ({ workflows }) => workflows.registerTemplate({ name: "Poster", workflowJson }),
      { code: "InvalidArgument", reason: "INVALID_FIELD", fields: ["name"] },
    ],
    [
      "no workflow",
      ({ workflows }) => workflows.registerTemplate({ name: "x" }),
      { reason: "INVALID_FIELD", fields: ["workflow_json"] },
    ],
    [
      "what is no workflow",
      ({ workflows }) => workflows.registerTemplate({ name: "x", workflowJson: "[1" }),
      { code: "InvalidArgument", reason: "WORKFLOW_INVALID" },
    ],
    [
      "nodes that are none",
      ({ workflows }) => workflows.proposeParameters({ workflowJson: '{"7":{"inputs":{}}}' }),
      { reason: "WORKFLOW_INVALID", nodes: [expect.objectContaining({ nodeId: "7" })] },
    ],
    [
      "a choice that is a list",
      ({ workflows }) =>
        workflows.registerTemplate({
          ...{ name: "x", workflowJson },
          parameters: [{ ...steps, type: ParameterType.CHOICE, choices: [fromJson(ValueSchema, [])] }],
        }),
      { reason: "INVALID_FIELD", fields: ["parameters[0].choices[0]"] },
    ],
    [
      "parameters that do not fit, all at once",
      ({ workflows }) =>
        workflows.registerTemplate({
          ...{ name: "x", workflowJson },
          parameters: [
            {
              ...steps,
              targets: [{ nodeId: "33", inputName: "steps" }],
              defaultValue: fromJson(ValueSchema, 1),
            },
            { ...steps, name: "more", max: 10 },
          ],
        }),
      {
        reason: "INVALID_FIELD",
        fields: expect.arrayContaining(["parameters[0].targets[0].node_id", "parameters[1].default_value"]),
      },
    ],
    [
      "an unknown version",
      ({ workflows }) =>
        workflows.getTemplateSchema({ name: "upscale", revision: { case: "version", value: 99 } }),
      { code: "NotFound", reason: "TEMPLATE_NOT_FOUND", fields: ["version"] },
    ],
    [
      "an alias to no version",
      ({ workflows }) => workflows.setTemplateAlias({ name: "upscale", alias: "a", version: 99 }),
      { reason: "TEMPLATE_NOT_FOUND" },
    ],
  ])("refuses %s", async (_, call, expected) => {
    const failure = await failureOf(call(client));
    expect(failure).toMatchObject(expected);
    expectNoLeak(failure.everything);
  });
});

/** Without metadata, which names the files of the job. */
const stripped = { metadata: ImageMetadata.STRIP };

describe.each(workflowClientKinds)("running templates over $name", ({ name: protocol, connect }) => {
  let client: WorkflowClient;
  const name = `z-run-${protocol.toLowerCase()}`;

  beforeAll(async () => {
    client = connect(fixture.url);
    await client.workflows.registerTemplate({ name, workflowJson });
    await client.workflows.registerTemplate({ name, workflowJson, parameters: [steps] });
    await client.workflows.setTemplateAlias({ name, alias: "production", version: 1 });
  });
  afterAll(() => client?.[Symbol.dispose]());

  const production = { name, revision: { case: "alias", value: "production" } } as const;

  it("a run by alias draws with its parameters, and says all that it settled", async () => {
    const parameters = { prompt: "a red fox", width: 96, height: 64, steps: 2, seed: "18446744073709551615" };
    const template = { ...production, parameters };
    const { images, result } = await client.images.generate({ spec: { template, output: stripped } });
    expect(images).toMatchObject([{ widthPx: 96, heightPx: 64, nodeId: "9", seed: 2n ** 64n - 1n }]);
    expect(result?.resolvedSpec?.template).toMatchObject({
      ...{ name, revision: { case: "version", value: 1 } },
      parameters: {
        ...parameters,
        ...{ negative_prompt: "", cfg: 7, sampler: "euler", scheduler: "normal", batch_size: 1 },
        checkpoint: "demo-sd15.safetensors",
      },
    });
    const { resolvedSpec } = result ?? {};
    const again = await client.images.generate(resolvedSpec === undefined ? {} : { spec: resolvedSpec });
    expect(again.images.map(({ sha256 }) => sha256)).toEqual(images.map(({ sha256 }) => sha256));
  });

  it("a seed that is left out is another one each time, and repeats the picture when it is given", async () => {
    const draw = async (parameters: JsonObject) => {
      const template = { ...production, parameters: { steps: 1, ...parameters } };
      const { images, result } = await client.images.generate({ spec: { template, output: stripped } });
      return { sha256: images[0]?.sha256, seed: result?.resolvedSpec?.template?.parameters?.seed ?? null };
    };
    const [first, second] = [await draw({}), await draw({})];
    expect(second.seed).not.toBe(first.seed);
    expect((await draw({ seed: first.seed })).sha256).toBe(first.sha256);
  });

  it("jobs and batches run templates, and are found by them", async () => {
    const template = (width: number) => ({ ...production, parameters: { steps: 1, width } });
    const submitted = await client.jobs.submitJob({ spec: { template: template(64) } });
    const { batch } = await client.jobs.submitBatch({
      source: {
        case: "specs",
        value: {
          specs: [{ template: template(72) }, { template: { name, parameters: { steps: 3 } } }],
        },
      },
    });
    const ids = [submitted.job, ...(batch?.jobs ?? [])].map((job) => job?.jobId ?? "");
    for (const jobId of ids) {
      for await (const _ of client.jobs.watchJob({ jobId })); // to its end
    }
    const found = async (filter: { readonly template: string; readonly templateVersion?: number }) =>
      (await client.jobs.listJobs({ filter })).jobs.filter(({ jobId }) => ids.includes(jobId));
    const all = await found({ template: name });
    expect(new Set(all.map(({ jobId }) => jobId))).toEqual(new Set(ids));
    expect(all.map(({ images }) => images.length)).toEqual([1, 1, 1]);
    expect((await found({ template: name, templateVersion: 2 })).map(({ jobId }) => jobId)).toEqual([ids[2]]);
    expect(await found({ template: "upscale" })).toEqual([]);
    expect(await failureOf(client.jobs.listJobs({ filter: { templateVersion: 2 } }))).toMatchObject({
      reason: "INVALID_FIELD",
      fields: ["filter.template_version"],
    });
  });

  it("everything that is wrong with parameters is named at once, and nothing runs", async () => {
    const parameters = { step: 5, steps: 0, sampler: "eular", seed: 2 ** 53, prompt: ["a"], cfg: null };
    const failure = await failureOf(
      client.jobs.submitJob({ spec: { template: { ...production, parameters } } }),
    );
    expect(failure).toMatchObject({ code: "InvalidArgument", reason: "INVALID_FIELD" });
    expect(new Set(failure.fields)).toEqual(
      new Set(
        ["step", "steps", "sampler", "seed", "prompt"].map((one) => `spec.template.parameters["${one}"]`),
      ),
    );
    expectNoLeak(failure.everything);
    const none = await failureOf(client.jobs.submitJob({ spec: { template: { name: "none-such" } } }));
    const fields = ["spec.template.name"];
    expect(none).toMatchObject({ code: "NotFound", reason: "TEMPLATE_NOT_FOUND", fields });
  });

  it("a default that the backend does not have is named as that of its parameter", async () => {
    const failure = await failureOf(
      client.images.generate({
        spec: { template: { name: "sdxl-base-refiner", parameters: { prompt: "x" } } },
      }),
    );
    expect(failure).toMatchObject({
      reason: "INVALID_FIELD",
      fields: ['spec.template.parameters["checkpoint"]', 'spec.template.parameters["refiner"]'],
    });
    expect(failure.message).toMatch(/its default fails: has no choice "sd_xl_base_1.0.safetensors"/);
  });
});

describe.each([
  ["SQLite", true],
  ["PostgreSQL", hasPostgres],
])("templates in %s", (database, isThere) => {
  it.skipIf(!isThere)("are there again after a restart, and changed files make new versions", async () => {
    await using stack = new AsyncDisposableStack();
    const directory = stack.use(await mkdtempDisposable(join(tmpdir(), "comfyrpc-test-")));
    const file = { name: "own", workflow: readJson(workflowJson), description: "one" };
    const write = (content: unknown) => writeFile(join(directory.path, "own.json"), writeJson(content));
    await write(file);
    const env = {
      COMFYRPC_TEMPLATES_DIR: directory.path,
      COMFYRPC_DATA_DIR: join(directory.path, "data"),
      ...(database === "PostgreSQL" && { DATABASE_URL: stack.use(await startTestPostgres()).url }),
    };
    {
      await using first = await startServiceFixture({ env });
      using client = connectWorkflows(first.url);
      await client.workflows.setTemplateAlias({ name: "own", alias: "production", version: 1 });
      await client.workflows.registerTemplate({ name: "made", workflowJson, parameters: [steps] });
    }
    await write({ ...file, description: "two" });
    {
      await using second = await startServiceFixture({ env });
      using client = connectWorkflows(second.url);
      const { templates } = await client.workflows.listTemplates({});
      expect(templates.map(({ name, version }) => [name, version])).toEqual([
        ["made", 1],
        ["own", 2],
      ]);
      const revision = { case: "alias", value: "production" } as const;
      const template = { name: "own", revision, parameters: { steps: 1 } };
      const { result } = await client.images.generate({ spec: { template } });
      expect(result?.resolvedSpec?.template?.revision).toEqual({ case: "version", value: 1 });
    }
    await using third = await startServiceFixture({ env });
    using client = connectWorkflows(third.url);
    expect((await client.workflows.getTemplate({ name: "own" })).template?.version).toBe(2);
  });
});

it("does not start with a template file that cannot be used, and names it", async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), "comfyrpc-test-"));
  await writeFile(join(directory.path, "broken.json"), '{"name":"x"}');
  const env = { COMFYRPC_TEMPLATES_DIR: directory.path };
  await expect(startServiceFixture({ env })).rejects.toThrow(/broken\.json cannot be used: workflow: /);
  await expect(
    startServiceFixture({ env: { COMFYRPC_TEMPLATES_DIR: join(directory.path, "none") } }),
  ).rejects.toThrow(/COMFYRPC_TEMPLATES_DIR: ENOENT/);
});

const workflowJson = JSON.stringify({
  "3": {
    class_type: "KSampler",
    inputs: {
      ...{ seed: "SEED", steps: 20, cfg: 7, sampler_name: "euler", scheduler: "normal", denoise: 1 },
      ...{ model: ["4", 0], positive: ["6", 0], negative: ["7", 0], latent_image: ["5", 0] },
    },
  },
  "4": { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: "demo-sd15.safetensors" } },
  "5": { class_type: "EmptyLatentImage", inputs: { width: 64, height: 64, batch_size: 1 } },
  "6": { class_type: "CLIPTextEncode", inputs: { text: "a lighthouse", clip: ["4", 1] } },
  "7": { class_type: "CLIPTextEncode", inputs: { text: "", clip: ["4", 1] } },
  "8": { class_type: "VAEDecode", inputs: { samples: ["3", 0], vae: ["4", 2] } },
  "9": { class_type: "SaveImage", inputs: { filename_prefix: "ComfyUI", images: ["8", 0] } },
}).replace('"SEED"', "18446744073709551615");
