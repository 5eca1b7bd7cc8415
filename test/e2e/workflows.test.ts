import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ImageMetadata } from "../../gen/comfyrpc/v1/generation_pb.js";
import { parseWorkflow } from "../../src/domain/workflow/parse-workflow.ts";
import { readJson, writeJson } from "../../src/lib/lossless-json.ts";
import { connectImages, draw, type ImageClient } from "../support/image-client.ts";
import { type ServiceFixture, startServiceFixture } from "../support/start-service.ts";

const seed = 2n ** 64n - 1n;

/** Two pictures of one seed in one node, and the same again inverted in another. */
const graph = {
  "4": { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: "demo-sd15.safetensors" } },
  "5": { class_type: "EmptyLatentImage", inputs: { width: 64, height: 48, batch_size: 2 } },
  "6": { class_type: "CLIPTextEncode", inputs: { text: "a red fox", clip: ["4", 1] } },
  "3": {
    class_type: "KSampler",
    inputs: {
      model: ["4", 0],
      positive: ["6", 0],
      negative: ["6", 0],
      latent_image: ["5", 0],
      seed,
      steps: 2,
      cfg: 7,
      sampler_name: "euler",
      scheduler: "normal",
      denoise: 1,
    },
  },
  "8": { class_type: "VAEDecode", inputs: { samples: ["3", 0], vae: ["4", 2] } },
  "9": {
    class_type: "SaveImage",
    inputs: { images: ["8", 0], filename_prefix: "mine" },
    _meta: { title: "Keep" },
  },
  "11": { class_type: "SaveImage", inputs: { images: ["8", 0], filename_prefix: "mine" } },
};

let fixture: ServiceFixture;
let client: ImageClient;

beforeAll(async () => {
  fixture = await startServiceFixture({ env: { COMFYRPC_DENIED_NODES: "Image*" } });
  client = connectImages(fixture.url);
});

afterAll(async () => {
  client?.[Symbol.dispose]();
  await fixture?.[Symbol.asyncDispose]();
});

/** Without metadata, which names the files of the job. */
function runText(json: string) {
  return draw(client, { workflow: { json }, output: { metadata: ImageMetadata.STRIP } });
}

function run(workflow: unknown) {
  return runText(writeJson(workflow));
}

describe("a workflow of the caller's own", () => {
  it("runs as it is, and gives back all that it leaves, with its node and seed", async () => {
    const { result, images, failure } = await run(graph);
    expect(failure).toBeUndefined();
    expect(images).toHaveLength(4);
    expect(result?.images.map(({ nodeId, widthPx, heightPx }) => [nodeId, widthPx, heightPx])).toEqual(
      expect.arrayContaining([
        ["9", 64, 48],
        ["9", 64, 48],
        ["11", 64, 48],
        ["11", 64, 48],
      ]),
    );
    expect(new Set(result?.images.map((image) => image.seed))).toEqual(new Set([seed]));
  });

  it("saves under names of its job, and runs its savers again when it is repeated", async () => {
    const [first, again] = [await run(graph), await run({ prompt: graph })];
    expect(again.images).toEqual(first.images);
    const ran = [first, again].map(({ result }) =>
      parseWorkflow(result?.resolvedSpec?.workflow?.json ?? "", { maxBytes: 9_999, maxNodes: 9 }),
    );
    const prefixes = ran.map((one) => one.format === "api" && one.graph["9"]?.inputs.filename_prefix);
    expect(prefixes[0]).toMatch(/^comfyrpc\/[0-9a-f]{2}\/[0-9a-f-]{36}_0$/);
    expect(prefixes[1]).not.toBe(prefixes[0]);
    expect(first.result?.graphSha256).toBe(again.result?.graphSha256);
  });

  it("can be had again by what the result says", async () => {
    const first = await run(graph);
    const json = first.result?.resolvedSpec?.workflow?.json ?? "";
    expect(readJson(json)).toMatchObject({ "3": { inputs: { seed } }, "9": { _meta: { title: "Keep" } } });
    const again = await runText(json);
    expect(again.images).toEqual(first.images);
  });

  it("is refused with everything that is wrong with it", async () => {
    const { failure } = await run({
      ...graph,
      "5": { class_type: "EmptyLatentImage", inputs: { width: 1, height: "tall", batch_size: 1 } },
      "9": { class_type: "SaveImage", inputs: { images: ["8", 3] } },
    });
    expect(failure).toMatchObject({
      code: "InvalidArgument",
      reason: "WORKFLOW_INVALID",
      fields: ["spec.workflow.json"],
      message: expect.stringContaining("(and 2 more)"),
    });
    expect(
      failure?.nodes.map(({ nodeId, inputName, errorType }) => `${nodeId}.${inputName} ${errorType}`),
    ).toEqual([
      "9.images linked_output_missing",
      "5.width value_smaller_than_min",
      "5.height invalid_input_type",
    ]);
  });

  it("may not use what the server does not allow", async () => {
    const { failure } = await run({
      ...graph,
      "10": { class_type: "ImageInvert", inputs: { image: ["8", 0] } },
    });
    expect(failure).toMatchObject({ code: "PermissionDenied", reason: "NODE_NOT_ALLOWED" });
    expect(
      (await run({ "1": { class_type: "SaveImage", inputs: { filename_prefix: "/tmp/x" } } })).failure,
    ).toMatchObject({ reason: "NODE_NOT_ALLOWED" });
  });
});
