import { createHash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import sharp from "sharp";
import { afterAll, beforeAll, expect, it } from "vitest";
import { GenerationSpecSchema, ImageFormat } from "../../gen/comfyrpc/v1/generation_pb.js";
import { ImageService } from "../../gen/comfyrpc/v1/image_service_pb.js";
import { JobService } from "../../gen/comfyrpc/v1/job_service_pb.js";
import { OutputKind } from "../../gen/comfyrpc/v1/output_pb.js";
import { runCli } from "../../src/cli/testing/run-cli.ts";
import { type ServiceFixture, startServiceFixture } from "../support/start-service.ts";

const node = (class_type: string, inputs: Record<string, unknown>) => ({ class_type, inputs });

/** Leaves a picture, an animation, sound, a latent and a text; and shows the picture in passing. */
const workflow = JSON.stringify({
  "10": node("EmptyImage", { width: 64, height: 48, batch_size: 1, color: 255 }),
  "11": node("EmptyImage", { width: 64, height: 48, batch_size: 1, color: 65_280 }),
  "1": node("ImageBatch", { image1: ["10", 0], image2: ["11", 0] }),
  "2": node("SaveImage", { images: ["1", 0], filename_prefix: "pictures/x" }),
  "3": node("PreviewImage", { images: ["1", 0] }),
  "4": node("SaveAnimatedWEBP", {
    images: ["1", 0],
    filename_prefix: "moving",
    fps: 6,
    lossless: true,
    quality: 80,
    method: "default",
  }),
  "5": node("EmptyAudio", { duration: 0.1, sample_rate: 8000, channels: 1 }),
  "6": node("SaveAudio", { audio: ["5", 0], filename_prefix: "sound" }),
  "7": node("EmptyLatentImage", { width: 64, height: 64, batch_size: 1 }),
  "8": node("SaveLatent", { samples: ["7", 0], filename_prefix: "latent" }),
  "9": node("PreviewAny", { source: "ein Füchslein" }),
});

let fixture: ServiceFixture;
let images: Client<typeof ImageService>;
let jobs: Client<typeof JobService>;

beforeAll(async () => {
  fixture = await startServiceFixture({ engine: { stepMs: 0 } });
  const transport = createGrpcTransport({ baseUrl: fixture.url });
  images = createClient(ImageService, transport);
  jobs = createClient(JobService, transport);
});

afterAll(() => fixture?.[Symbol.asyncDispose]());

it("whatever a workflow leaves comes back with its node, and is served for what it is", async () => {
  const spec = create(GenerationSpecSchema, {
    workflow: { json: workflow },
    output: { format: ImageFormat.WEBP, thumbnail: { maxSidePx: 16 } },
  });
  const { images: pictures, result } = await images.generate({ spec }, { timeoutMs: 30_000 });
  expect(pictures.map(({ nodeId, format, widthPx }) => ({ nodeId, format, widthPx }))).toEqual([
    { nodeId: "2", format: ImageFormat.WEBP, widthPx: 64 },
    { nodeId: "2", format: ImageFormat.WEBP, widthPx: 64 },
  ]);
  const [picture] = pictures;
  if (picture === undefined) expect.fail("no image");
  const facts = await sharp(picture.data).metadata();
  expect(facts).toMatchObject({ format: "webp", width: 64, height: 48 });
  expect(facts.xmp?.toString()).toContain("trainedAlgorithmicMedia");
  expect(picture.thumbnail).toMatchObject({ widthPx: 16, heightPx: 12 });

  const outputs = result?.outputs ?? [];
  const byKind = new Map(outputs.map((output) => [output.kind, output]));
  expect(byKind.get(OutputKind.ANIMATION)).toMatchObject({ nodeId: "4", mediaType: "image/webp" });
  expect(byKind.get(OutputKind.AUDIO)).toMatchObject({ nodeId: "6", key: "audio", mediaType: "audio/flac" });
  expect(byKind.get(OutputKind.LATENT)).toMatchObject({ nodeId: "8", classType: "SaveLatent" });
  expect(byKind.get(OutputKind.TEXT)).toMatchObject({ nodeId: "9", text: "ein Füchslein" });
  expect(outputs).toHaveLength(4);
  for (const { assetId, mediaType, kind, sizeBytes, sha256 } of outputs) {
    const response = await fetch(`${fixture.url}/assets/${assetId}`);
    const bytes = Buffer.from(await response.arrayBuffer());
    expect(response.headers.get("content-type")).toContain(mediaType);
    expect(response.headers.get("content-disposition")).toMatch(
      kind === OutputKind.TEXT || kind === OutputKind.LATENT ? /^attachment/ : /^inline/,
    );
    expect([BigInt(bytes.length), createHash("sha256").update(bytes).digest("hex")]).toEqual([
      sizeBytes,
      sha256,
    ]);
  }

  const { job } = await jobs.getJob({ jobId: result?.jobId ?? "" });
  expect(job?.outputs).toEqual(outputs);
  const cases: (string | undefined)[] = [];
  for await (const { event } of jobs.watchJob({ jobId: job?.jobId ?? "" })) cases.push(event?.event.case);
  expect(cases.filter((one) => one === "output")).toHaveLength(4);
  expect(cases.at(-1)).toBe("completed");
});

it("a job that runs a workflow is made again by replay", async () => {
  const spec = create(GenerationSpecSchema, { workflow: { json: workflow } });
  const { result } = await images.generate({ spec }, { timeoutMs: 30_000 });
  const { exitCode, out } = await runCli(
    ["replay", result?.jobId ?? "", "--quiet", "--server", fixture.url],
    { signal: AbortSignal.timeout(30_000) },
  );
  expect(out).toContain(": the same graph\nimage 1: the same in every pixel\nimage 2: ");
  expect(exitCode).toBe(0);
});
