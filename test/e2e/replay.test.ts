import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { runCli } from "../../src/cli/testing/run-cli.ts";
import { createTemporaryDirectory } from "../../src/cli/testing/temporary-directory.ts";
import { readJson } from "../../src/lib/lossless-json.ts";
import { readPng } from "../support/png.ts";
import { type ServiceFixture, startServiceFixture } from "../support/start-service.ts";

const seed = `${2n ** 63n + 5n}`;
const picture = ["--width", "64", "--height", "64", "--steps", "2", "--seed", seed, "--quiet"];

const line = z.object({ result: z.object({ jobId: z.string() }).optional() });
const provenanceShape = z.looseObject({
  graphJson: z.string(),
  graphSha256: z.string(),
  serviceVersion: z.string().min(1),
  models: z.array(z.looseObject({ kind: z.string(), name: z.string() })),
  images: z.array(z.looseObject({ sha256: z.string() })),
});

let fixture: ServiceFixture;

beforeAll(async () => {
  fixture = await startServiceFixture({ engine: { stepMs: 0 } });
});

afterAll(() => fixture?.[Symbol.asyncDispose]());

async function run(...args: string[]) {
  return await runCli([...args, "--server", fixture.url], { signal: AbortSignal.timeout(30_000) });
}

/** Draws with these options, and gives the id of the job. */
async function draw(directory: string, ...args: string[]): Promise<string> {
  const { out, exitCode, err } = await run(
    "generate",
    "a fox",
    ...picture,
    "--json",
    "--out",
    directory,
    ...args,
  );
  expect({ exitCode, err }).toEqual({ exitCode: 0, err: "" });
  const last = line.parse(JSON.parse(out.trim().split("\n").at(-1) ?? ""));
  return last.result?.jobId ?? expect.fail("no job");
}

describe("the provenance of a job", () => {
  it("has the graph with every digit, the models, and who ran it", async () => {
    await using directory = await createTemporaryDirectory();
    const jobId = await draw(directory.path, "--lora", "demo-neon.safetensors");
    const json = await run("jobs", "provenance", jobId, "--json");
    const provenance = provenanceShape.parse(JSON.parse(json.out));
    expect(provenance.models).toEqual([
      expect.objectContaining({ kind: "MODEL_KIND_CHECKPOINT" }),
      expect.objectContaining({ kind: "MODEL_KIND_LORA", name: "demo-neon.safetensors" }),
    ]);
    const graph = await run("jobs", "provenance", jobId, "--graph");
    expect(graph.out).toBe(`${provenance.graphJson}\n`);
    expect(graph.out).toContain(`"seed":${seed},`);
    expect(readJson(provenance.graphJson)).toMatchObject({ "3": { inputs: { seed: BigInt(seed) } } });
    const people = await run("jobs", "provenance", jobId);
    expect(people.out).toContain(`graph            ${provenance.graphSha256}\n`);
    expect(people.out).toContain(`image 1          ${provenance.images[0]?.sha256}\n`);
    expect((await run("jobs", "provenance", "0b5c7a30-58a5-4d1b-b0a8-2f3c1c6d9e41")).exitCode).toBe(6);
  });
});

describe("replay", () => {
  it("makes the same pictures again: pixels where files name their job, else bytes", async () => {
    await using directory = await createTemporaryDirectory();
    const kept = await draw(directory.path, "--count", "2");
    const pixels = await run("replay", kept, "--quiet", "--out", join(directory.path, "again"));
    expect(pixels).toMatchObject({ exitCode: 0, err: "" });
    expect(pixels.out).toContain(": the same graph\n");
    expect(pixels.out).toContain("image 1: the same in every pixel\nimage 2: the same in every pixel\n");
    const [file = ""] = pixels.out.split("\n");
    expect(readPng(await readFile(file))).toMatchObject({ widthPx: 64, heightPx: 64 });

    const stripped = await draw(directory.path, "--strip-metadata");
    const bytes = await run("replay", stripped, "--json");
    expect(bytes.exitCode).toBe(0);
    expect(JSON.parse(bytes.out.trim().split("\n").at(-1) ?? "")).toMatchObject({
      isSameGraph: true,
      images: [{ index: 0, same: "bytes" }],
    });
  });

  it("knows no job that is not there", async () => {
    expect(await run("replay", "0b5c7a30-58a5-4d1b-b0a8-2f3c1c6d9e41")).toMatchObject({ exitCode: 6 });
  });
});
