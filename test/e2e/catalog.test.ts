import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { startDemoEngine } from "../../src/engine/demo/demo-engine.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { failureOf, type Json } from "../support/image-clients/image-client.ts";
import { type JsonClient, jsonClientKinds } from "../support/json-clients.ts";
import { badFieldsIn, errorInfoIn } from "../support/service-messages.ts";
import { type ServiceFixture, startServiceFixture } from "../support/start-service.ts";
import { waitUntil } from "../support/wait-until.ts";

const opened = new AsyncDisposableStack();
let service: ServiceFixture;

beforeAll(async () => {
  const openEngine = async () =>
    opened.use(
      await startDemoEngine({
        host: "127.0.0.1",
        port: 0,
        stepMs: 0,
        logger: createLogger({ level: "silent" }),
      }),
    );
  const [left, right] = [await openEngine(), await openEngine()];
  service = opened.use(
    await startServiceFixture({
      env: {
        COMFYUI_URL: `left=${left.url},right=${right.url}`,
        COMFYRPC_MAX_STEPS: "42",
        COMFYRPC_MAX_RETENTION_SECONDS: "172800",
        COMFYRPC_SIGNED_LINKS_ONLY: "true",
        COMFYRPC_URL_INPUTS: "true",
      },
    }),
  );
  // It can draw once one of them is up.
  const areUp = async () => (await statesOf(service.url)).every((state) => state === "BACKEND_STATE_UP");
  await waitUntil(areUp, "both backends are up");
});

afterAll(() => opened.disposeAsync());

const texts = z.array(z.string()).default([]);
const named = z.object({ name: z.string(), backends: texts });
const answered = { backends: texts, etag: z.string().default(""), notModified: z.boolean().default(false) };
const modelList = z.object({
  models: z.array(named.extend({ kind: z.string() })).default([]),
  nextPageToken: z.string().default(""),
  ...answered,
});
const samplerList = z.object({
  samplers: z.array(named.extend({ aliases: texts })).default([]),
  ...answered,
});
const schedulerList = z.object({ schedulers: z.array(named).default([]), ...answered });
const nodeInput = z.looseObject({ name: z.string(), type: z.string(), required: z.boolean().default(false) });
const nodeClass = named.extend({
  category: z.string().default(""),
  outputNode: z.boolean().default(false),
  differs: z.boolean().default(false),
  inputs: z.array(nodeInput).default([]),
  outputs: z.array(z.object({ name: z.string(), type: z.string() })).default([]),
});
const nodeClassList = z.object({
  nodeClasses: z.array(nodeClass).default([]),
  nextPageToken: z.string().default(""),
  ...answered,
});
const backendList = z.object({
  backends: z.array(z.object({ backend: z.looseObject({ name: z.string() }), state: z.string() })),
});

async function statesOf(url: string): Promise<readonly string[]> {
  const response = await fetch(`${url}/comfyrpc.v1.CatalogService/ListBackends`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "{}",
  });
  return backendList.parse(await response.json()).backends.map(({ state }) => state);
}

describe.each(jsonClientKinds)("with $name", ({ open }) => {
  let client: JsonClient;
  beforeAll(async () => {
    client = await open(service.url);
  });
  afterAll(() => client?.[Symbol.dispose]());

  const call = (method: string, request: Json = {}) => client.call(`CatalogService/${method}`, request);

  it("the service says what it is and allows", async () => {
    expect(await call("GetServerInfo")).toMatchObject({
      serverInfo: {
        version: expect.stringMatching(/^\d/),
        apiVersion: "v1",
        limits: {
          maxPixels: "4194304",
          maxSteps: 42,
          maxImageCount: 10,
          maxBatchJobCount: 10,
          maxUpscaledPixels: "33554432",
          maxWorkflowNodeCount: 2_000,
          maxWorkflowBytes: "4194304",
          maxOutputBytes: "1073741824",
          maxInputPixels: "67108864",
        },
        features: { signedLinksOnly: true, urlInputs: true, aiMark: "AI_MARK_RULE_ON" },
        workflowRules: { deniedNodeClasses: expect.arrayContaining(["ModelSave", "Train*"]) },
        backends: [
          { name: "left", builtIn: true, comfyuiVersion: expect.stringMatching(/^\d/) },
          { name: "right", builtIn: true },
        ],
      },
    });
  });

  it("the backends are there, and how they do", async () => {
    const { backends } = backendList.parse(await call("ListBackends"));
    expect(backends.map(({ backend, state }) => [backend.name, state])).toEqual([
      ["left", "BACKEND_STATE_UP"],
      ["right", "BACKEND_STATE_UP"],
    ]);
  });

  it("models of every kind come on pages that miss and repeat nothing", async () => {
    const all = modelList.parse(await call("ListModels", { pageSize: 1000 }));
    expect(all.backends).toEqual(["left", "right"]);
    expect(all.nextPageToken).toBe("");
    expect(new Set(all.models.map(({ kind }) => kind)).size).toBe(8);
    expect(all.models).toContainEqual({
      kind: "MODEL_KIND_CHECKPOINT",
      name: "demo-sd15.safetensors",
      backends: ["left", "right"],
    });
    const paged: unknown[] = [];
    let pageToken = "";
    do {
      const page = modelList.parse(await call("ListModels", { pageSize: 7, pageToken }));
      expect(page.models.length).toBeLessThanOrEqual(7);
      paged.push(...page.models);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(paged).toEqual(all.models);
  });

  it("models are filtered by kind, name and backend", async () => {
    const kinds = ["MODEL_KIND_CONTROLNET", "MODEL_KIND_LORA"];
    const { models, backends } = modelList.parse(
      await call("ListModels", { kinds, nameContains: "DEMO-N", backend: "right" }),
    );
    expect(backends).toEqual(["right"]);
    expect(models).toEqual([{ kind: "MODEL_KIND_LORA", name: "demo-neon.safetensors", backends: ["right"] }]);
  });

  it("samplers and schedulers are there", async () => {
    const both = ["left", "right"];
    const { samplers } = samplerList.parse(await call("ListSamplers"));
    expect(samplers).toContainEqual({ name: "euler", aliases: [], backends: both });
    expect(samplers).toContainEqual({ name: "euler_ancestral", aliases: ["euler_a"], backends: both });
    const { schedulers } = schedulerList.parse(await call("ListSchedulers", { backend: "left" }));
    expect(schedulers).toContainEqual({ name: "normal", backends: ["left"] });
  });

  it("node classes are listed in short, or whole, below a category", async () => {
    const list = async (request: Json) => nodeClassList.parse(await call("ListNodeClasses", request));
    const short = await list({ category: "loaders", pageSize: 1000 });
    const names = short.nodeClasses.map(({ name }) => name);
    expect(names).toEqual(names.toSorted());
    expect(names).toContain("CheckpointLoaderSimple");
    expect(names).not.toContain("KSampler");
    expect(short.nodeClasses.flatMap(({ inputs }) => inputs)).toEqual([]);
    const whole = await list({ nameContains: "saveimage", view: "NODE_CLASS_VIEW_FULL" });
    expect(whole.nodeClasses.find(({ name }) => name === "SaveImage")).toMatchObject({
      outputNode: true,
      inputs: [{ name: "images", type: "IMAGE", required: true }, { name: "filename_prefix" }],
    });
    const first = await list({ pageSize: 1 });
    const second = await list({ pageSize: 1, pageToken: first.nextPageToken });
    expect([...first.nodeClasses, ...second.nodeClasses].map(({ name }) => name)).toEqual(
      (await list({ pageSize: 2 })).nodeClasses.map(({ name }) => name),
    );
  });

  it("a node class has typed inputs, with every digit of a seed", async () => {
    const answer = z.object({ nodeClass }).parse(await call("GetNodeClass", { name: "KSampler" }));
    const { inputs, outputs, backends, differs } = answer.nodeClass;
    expect({ backends, differs }).toEqual({ backends: ["left", "right"], differs: false });
    expect(outputs).toEqual([{ name: "LATENT", type: "LATENT" }]);
    expect(inputs.find(({ name }) => name === "seed")).toMatchObject({
      type: "INT",
      required: true,
      defaultJson: "0",
      max: "18446744073709551615",
    });
    expect(inputs.find(({ name }) => name === "sampler_name")).toMatchObject({
      type: "COMBO",
      choices: expect.arrayContaining(["euler"]),
    });
  });

  it.each<[method: string, request: Json, content: string]>([
    ["GetServerInfo", {}, "serverInfo"],
    ["ListModels", { pageSize: 5 }, "models"],
    ["ListSamplers", {}, "samplers"],
    ["ListSchedulers", { backend: "right" }, "schedulers"],
    ["ListNodeClasses", {}, "nodeClasses"],
    ["GetNodeClass", { name: "KSampler" }, "nodeClass"],
  ])("%s says no more than that nothing has changed", async (method, request, content) => {
    const answer = z.looseObject({ etag: z.string().min(1) }).parse(await call(method, request));
    expect(answer).toHaveProperty(content);
    const again = await call(method, { ...request, ifNoneMatch: answer.etag });
    expect(again).toMatchObject({ etag: answer.etag, notModified: true });
    expect(z.looseObject({ [content]: z.array(z.never()).optional() }).safeParse(again).success).toBe(true);
    expect(await call(method, { ...request, ifNoneMatch: "another" })).toEqual(answer);
  });

  it.each<[method: string, request: Json, fields: readonly string[]]>([
    ["ListModels", { kinds: ["MODEL_KIND_UNSPECIFIED"] }, ["kinds[0]"]],
    ["ListModels", { pageSize: 1001, nameContains: "x".repeat(201) }, ["name_contains", "page_size"]],
    ["ListModels", { pageToken: "made-up" }, ["page_token"]],
    ["ListModels", { backend: "middle" }, ["backend"]],
    ["ListSamplers", { backend: "middle" }, ["backend"]],
    ["ListSchedulers", { ifNoneMatch: "x".repeat(65) }, ["if_none_match"]],
    ["ListNodeClasses", { pageToken: "made-up" }, ["page_token"]],
    ["GetNodeClass", {}, ["name"]],
  ])("%s names what is wrong: case %#", async (method, request, fields) => {
    const { code, details } = await failureOf(call(method, request));
    expect([code, errorInfoIn(details).reason]).toEqual(["invalid_argument", "INVALID_FIELD"]);
    expect(badFieldsIn(details)).toEqual(fields);
  });

  it("a node class that there is not is not found, and others are named", async () => {
    const { code, details } = await failureOf(call("GetNodeClass", { name: "KSampelr" }));
    expect(code).toBe("not_found");
    expect(errorInfoIn(details)).toMatchObject({
      reason: "NODE_CLASS_NOT_FOUND",
      metadata: { name: "KSampelr", nearest: expect.stringContaining('"KSampler"') },
    });
  });
});

it("answers a plain GET, as whatever reads only may", async () => {
  const query = new URLSearchParams({ connect: "v1", encoding: "json", message: '{"backend":"left"}' });
  const response = await fetch(`${service.url}/comfyrpc.v1.CatalogService/ListSamplers?${query}`);
  expect(response.status).toBe(200);
  expect(samplerList.parse(await response.json()).backends).toEqual(["left"]);
});
