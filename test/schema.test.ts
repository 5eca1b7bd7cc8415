import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { create, createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { createValidator } from "@bufbuild/protovalidate";
import { describe, expect, it } from "vitest";
import { ErrorReason } from "../gen/comfyrpc/v1/error_pb.js";
import { GenerateRequestSchema } from "../gen/comfyrpc/v1/image_service_pb.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const buf = join(root, "node_modules/.bin/buf");
const run = promisify(execFile);

describe("the schema", () => {
  it("has only changes against the last release that old clients can live with", async () => {
    await run(buf, ["breaking", "--against", "proto/last-release.binpb"], { cwd: root });
  });

  it("would not get a removed field past that check", async () => {
    const directory = await mkdtemp(join(tmpdir(), "comfyrpc-schema-"));
    try {
      await cp(join(root, "proto"), join(directory, "proto"), { recursive: true });
      await cp(join(root, "buf.yaml"), join(directory, "buf.yaml"));
      const file = join(directory, "proto/comfyrpc/v1/image.proto");
      await writeFile(file, (await readFile(file, "utf8")).replace("string sha256 = 8;", ""));
      const failure = run(buf, ["breaking", "--against", "proto/last-release.binpb"], { cwd: directory });
      await expect(failure).rejects.toMatchObject({ stdout: expect.stringContaining('"sha256"') });
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it("is served with its comments: the descriptor set holds them", async () => {
    const set = fromBinary(FileDescriptorSetSchema, await readFile(join(root, "gen/descriptors.binpb")));
    expect(createFileRegistry(set).getService("comfyrpc.v1.ImageService")?.methods).toHaveLength(3);
    const file = set.file.find(({ name }) => name === "comfyrpc/v1/image_service.proto");
    const comments = file?.sourceCodeInfo?.location.map(({ leadingComments }) => leadingComments);
    expect(comments).toContainEqual(expect.stringContaining("Draws images with ComfyUI."));
  });

  it("documents the status of every error reason", async () => {
    const text = await readFile(join(root, "proto/comfyrpc/v1/error.proto"), "utf8");
    for (const name of Object.keys(ErrorReason).filter(
      (key) => Number.isNaN(Number(key)) && key !== "UNSPECIFIED",
    )) {
      expect(text).toMatch(
        new RegExp(`// \`[A-Z_]+\`: [^\\n]+(\\n  // [^\\n]+)*\\n  ERROR_REASON_${name} = `),
      );
    }
  });
});

describe("the rules of the schema", () => {
  const validator = createValidator();
  const valid = { prompt: "a red fox" };

  it.each([
    ["nothing but a prompt", valid],
    [
      "the bounds of every range",
      { ...valid, widthPx: 64, heightPx: 2048, steps: 150, cfg: 30, denoise: 0, imageCount: 10 },
    ],
    ["the largest seed", { ...valid, seed: 2n ** 64n - 1n }],
    ["a quality for a lossy format", { ...valid, output: { format: 3, quality: 1 } }],
    ["the longest prompt, counted in characters", { prompt: "ü".repeat(5_000) }],
  ])("accept %s", (_, spec) => {
    expect(validator.validate(GenerateRequestSchema, create(GenerateRequestSchema, { spec })).kind).toBe(
      "valid",
    );
  });

  it.each([
    ["no spec", undefined],
    ["an empty prompt", { prompt: "" }],
    ["a prompt of white space", { prompt: " \n\t" }],
    ["too long a prompt", { prompt: "x".repeat(5_001) }],
    ["too long a negative prompt", { ...valid, negativePrompt: "x".repeat(2_001) }],
    ["too narrow a picture", { ...valid, widthPx: 56 }],
    ["too high a picture", { ...valid, heightPx: 2_056 }],
    ["a width that is no multiple of 8", { ...valid, widthPx: 513 }],
    ["no steps", { ...valid, steps: 0 }],
    ["too many steps", { ...valid, steps: 151 }],
    ["too low a guidance", { ...valid, cfg: 0.9 }],
    ["a guidance that is no number", { ...valid, cfg: Number.NaN }],
    ["too high a denoise", { ...valid, denoise: 1.01 }],
    ["too many images", { ...valid, imageCount: 11 }],
    ["too many LoRAs", { ...valid, loras: Array.from({ length: 17 }, () => ({ name: "x" })) }],
    ["a LoRA without a name", { ...valid, loras: [{ name: "" }] }],
    ["too strong a LoRA", { ...valid, loras: [{ name: "x", modelStrength: 101 }] }],
    ["a quality for PNG", { ...valid, output: { quality: 80 } }],
    ["an unknown format", { ...valid, output: { format: 99 } }],
    ["previews as AVIF", { ...valid, preview: { format: 4 } }],
    ["too large an inline limit", { ...valid, output: { inlineLimitBytes: 67_108_865 } }],
  ])("refuse %s", (_, spec) => {
    const request = create(GenerateRequestSchema, spec === undefined ? {} : { spec });
    expect(validator.validate(GenerateRequestSchema, request).kind).toBe("invalid");
  });
});
