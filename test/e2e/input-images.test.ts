import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { MessageInitShape } from "@bufbuild/protobuf";
import sharp, { type Sharp } from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ImageInputSchema } from "../../gen/comfyrpc/v1/image_input_pb.js";
import { JobState } from "../../gen/comfyrpc/v1/job_state_pb.js";
import { connectImages, draw, type ImageClient, type SpecInit } from "../support/image-client.ts";
import { connectJobs, download, getJob, type JobClient, watchJob } from "../support/job-client.ts";
import { expectNoLeak, failureOf } from "../support/rpc-failure.ts";
import { type ServiceFixture, startServiceFixture } from "../support/start-service.ts";

type Source = NonNullable<MessageInitShape<typeof ImageInputSchema>["source"]>;

let fixture: ServiceFixture;
let client: ImageClient;
let jobs: JobClient;

beforeAll(async () => {
  fixture = await startServiceFixture({ env: { COMFYRPC_MAX_UPLOAD_BYTES: "100000" } });
  client = connectImages(fixture.url);
  jobs = connectJobs(fixture.url);
});

afterAll(async () => {
  client?.[Symbol.dispose]();
  jobs?.[Symbol.dispose]();
  await fixture?.[Symbol.asyncDispose]();
});

/** Asks for what is as good as the image itself. */
function specFrom(source: Source): SpecInit {
  return {
    prompt: "a fox",
    steps: 1,
    denoise: 0.01,
    start: { case: "imageToImage", value: { image: { source } } },
  };
}

const bytes = (value: Uint8Array): Source => ({ case: "data", value });

async function twoColours(): Promise<Sharp> {
  const half = { create: { width: 64, height: 64, channels: 3, background: "#c33" } } as const;
  return sharp({ create: { width: 128, height: 64, channels: 3, background: "#36c" } }).composite([
    { input: await sharp(half).png().toBuffer(), left: 0, top: 0 },
  ]);
}

describe("an image that a job reads", () => {
  it.each([
    ["PNG", async () => await (await twoColours()).png().toBuffer()],
    ["JPEG", async () => await (await twoColours()).jpeg().toBuffer()],
    ["WebP", async () => await (await twoColours()).webp().toBuffer()],
    ["AVIF", async () => await (await twoColours()).avif().toBuffer()],
    ["GIF", async () => await (await twoColours()).gif().toBuffer()],
    ["PNG of 16 bits", async () => await (await twoColours()).toColourspace("rgb16").png().toBuffer()],
    ["JPEG in CMYK", async () => await (await twoColours()).toColourspace("cmyk").jpeg().toBuffer()],
  ])("may be a %s", async (_what, make) => {
    const { images, failure } = await draw(client, specFrom(bytes(await make())));
    expect(failure).toBeUndefined();
    const { data, info } = await sharp(images[0]).removeAlpha().raw().toBuffer({ resolveWithObject: true });
    expect(info).toMatchObject({ width: 128, height: 64 });
    const pixel = (x: number) => [...data.subarray((32 * 128 + x) * 3, (32 * 128 + x) * 3 + 3)];
    const [left, right] = [pixel(32), pixel(96)];
    expect(left[0]).toBeGreaterThan((left[2] ?? 0) + 50);
    expect(right[2]).toBeGreaterThan((right[0] ?? 0) + 50);
  });

  it("may be an image of an earlier job, and is named as an asset from then on", async () => {
    const first = await draw(client, { prompt: "a fox", widthPx: 128, heightPx: 64, steps: 1 });
    const assetId = first.result?.images[0]?.assetId ?? "";
    const second = await draw(client, specFrom({ case: "assetId", value: assetId }));
    expect(second.failure).toBeUndefined();
    const { start } = second.result?.resolvedSpec ?? {};
    expect(start?.value).toMatchObject({ image: { source: { case: "assetId", value: assetId } } });
  });

  it("that is turned by its metadata gives a picture that is turned too", async () => {
    const upright = await (await twoColours()).withMetadata({ orientation: 6 }).jpeg().toBuffer();
    const { images } = await draw(client, specFrom(bytes(upright)));
    expect(await sharp(images[0]).metadata()).toMatchObject({ width: 64, height: 128 });
  });

  it("becomes an asset of the same bytes", async () => {
    const data = await (await twoColours()).png().toBuffer();
    await draw(client, specFrom(bytes(data)));
    expect(await download(jobs, createHash("sha256").update(data).digest("hex"))).toEqual(data);
  });

  it.each([
    ["there is no such asset", { case: "assetId", value: "a".repeat(64) }, "NotFound", "ASSET_NOT_FOUND"],
    ["it is no image", { case: "data", value: Buffer.from("<html>") }, "InvalidArgument", "INPUT_REJECTED"],
    [
      "it is too large",
      { case: "data", value: Buffer.alloc(100_001) },
      "ResourceExhausted",
      "ASSET_TOO_LARGE",
    ],
    ["URLs are off", { case: "url", value: "https://example.com/a.png" }, "InvalidArgument", "INVALID_FIELD"],
  ] as const)("is refused with its field if %s", async (_what, source, code, reason) => {
    const failure = await failureOf(jobs.jobs.submitJob({ spec: specFrom(source) }));
    expect(failure).toMatchObject({ code, reason, fields: ["spec.image_to_image.image"] });
    expectNoLeak(failure.everything);
  });

  it("may be that of all jobs of a grid, which begin together", async () => {
    const data = await (await twoColours()).resize(1_024, 1_024).png({ compressionLevel: 9 }).toBuffer();
    const spec = specFrom(bytes(data));
    const value = { base: { ...spec, widthPx: 64, heightPx: 64 }, seeds: [1n, 2n, 3n] };
    const { batch } = await jobs.jobs.submitBatch({ source: { case: "grid", value } });
    const states = (batch?.jobs ?? []).map(async ({ jobId }) => {
      await watchJob(jobs, jobId).ended;
      return (await getJob(jobs, jobId)).state;
    });
    expect(await Promise.all(states)).toEqual(value.seeds.map(() => JobState.SUCCEEDED));
  });

  it("is refused with its place in a batch", async () => {
    const specs = [{ prompt: "a fox" }, specFrom(bytes(Buffer.from("%PDF")))];
    const failure = await failureOf(jobs.jobs.submitBatch({ source: { case: "specs", value: { specs } } }));
    expect(failure).toMatchObject({
      reason: "INPUT_REJECTED",
      fields: ["specs.specs[1].image_to_image.image"],
    });
  });
});

describe("an image by its URL", () => {
  it("is never fetched from this machine or its networks, and the failure tells nothing of them", async () => {
    await using secret = await startSecret();
    const env = { COMFYRPC_URL_INPUTS: "true", COMFYRPC_URL_INPUTS_ALLOW_HTTP: "true" };
    await using open = await startServiceFixture({ env });
    using caller = connectJobs(open.url);
    const refusals = new Set<string>();
    for (const host of ["127.0.0.1", "localhost", "[::1]", "0x7f000001", "10.255.255.1", "nowhere.invalid"]) {
      const source: Source = { case: "url", value: `http://${host}/` };
      const failure = await failureOf(caller.jobs.submitJob({ spec: specFrom(source) }));
      expect(failure).toMatchObject({
        code: "FailedPrecondition",
        reason: "INPUT_UNREACHABLE",
        fields: ["spec.image_to_image.image"],
      });
      expectNoLeak(failure.everything);
      refusals.add(failure.message);
    }
    expect(refusals.size).toBe(1);
    const port: Source = { case: "url", value: `http://127.0.0.1:${secret.port}/` };
    const failure = await failureOf(caller.jobs.submitJob({ spec: specFrom(port) }));
    expect(failure).toMatchObject({ reason: "INVALID_FIELD", fields: ["spec.image_to_image.image"] });
    expect(secret.connections).toBe(0);
  });
});

/** Something on this machine that nobody elsewhere is to hear of. */
async function startSecret() {
  let connections = 0;
  const server = createServer((_request, response) => response.end("secret"));
  server.on("connection", () => connections++);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return connections;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
