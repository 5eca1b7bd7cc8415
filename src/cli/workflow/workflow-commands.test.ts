import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ServiceFixture, startServiceFixture } from "../../../test/support/start-service.ts";
import { writeJson } from "../../lib/lossless-json.ts";
import { captureIo } from "../testing/capture-io.ts";
import { type CliOutcome, runCli } from "../testing/run-cli.ts";
import { createTemporaryDirectory, type TemporaryDirectory } from "../testing/temporary-directory.ts";

/** A picture that is saved, and kept as a latent too. */
const graph = {
  "1": { class_type: "LoadImage", inputs: { image: "nowhere.png" } },
  "2": { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: "demo-sd15.safetensors" } },
  "3": { class_type: "VAEEncode", inputs: { pixels: ["1", 0], vae: ["2", 2] } },
  "4": { class_type: "SaveLatent", inputs: { samples: ["3", 0], filename_prefix: "x" } },
  "5": {
    class_type: "SaveImage",
    inputs: { images: ["1", 0], filename_prefix: "x" },
    _meta: { title: "Keep" },
  },
};

let fixture: ServiceFixture;
let directory: TemporaryDirectory;

beforeAll(async () => {
  fixture = await startServiceFixture();
  directory = await createTemporaryDirectory();
  const create = { width: 64, height: 64, channels: 3, background: "red" } as const;
  await file("image.png", await sharp({ create }).png().toBuffer());
});

afterAll(async () => {
  await directory?.[Symbol.asyncDispose]();
  await fixture?.[Symbol.asyncDispose]();
});

async function file(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(directory.path, name);
  await writeFile(path, content);
  return path;
}

const run = (...args: readonly string[]): Promise<CliOutcome> =>
  runCli(["workflow", ...args, "--server", new URL(fixture.url).host], {
    io: captureIo(),
    signal: AbortSignal.timeout(30_000),
  });

describe("workflow run", () => {
  it("saves all that a workflow leaves, with images and values put into it", async () => {
    const flow = await file("flow.json", writeJson(graph));
    const out = join(directory.path, "all");
    const image = join(directory.path, "image.png");
    const {
      exitCode,
      out: files,
      err,
    } = await run("run", flow, "--image", `1.image=${image}`, "-o", out, "-q");
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: "" });
    const paths = files.trimEnd().split("\n");
    expect(paths.map((path) => path.replace(/^.*\./, ""))).toEqual(["png", "latent"]);
    for (const path of paths) {
      expect((await readFile(path)).length).toBeGreaterThan(0);
    }
  });

  it("replaces files of earlier runs, but none of its own", async () => {
    const batch = {
      "1": { class_type: "EmptyImage", inputs: { width: 16, height: 16, batch_size: 3, color: 0 } },
      "5": { ...graph["5"], inputs: { images: ["1", 0], filename_prefix: "x" } },
    };
    const flow = await file("batch.json", writeJson(batch));
    const out = join(directory.path, "twice");
    for (let time = 0; time < 2; time++) {
      const { exitCode, out: files, err } = await run("run", flow, "-o", out, "--overwrite");
      expect(exitCode).toBe(0);
      expect(err).toMatch(/^3 images, 16x16$/m);
      expect(files.trimEnd().split("\n")).toEqual(
        ["image-1.png", "image-2.png", "image-3.png"].map((name) => join(out, name)),
      );
    }
    expect((await readdir(out)).sort()).toEqual(["image-1.png", "image-2.png", "image-3.png"]);
  });

  it("refuses what the service refuses, and values for nodes that there are not", async () => {
    const flow = await file("flow.json", writeJson(graph));
    expect(await run("run", flow, "--set", "5.images=[]")).toMatchObject({
      exitCode: 2,
      err: expect.stringContaining('node 5 (SaveImage "Keep"): images is a list, and no link'),
    });
    expect(await run("run", flow, "--set", "9.steps=3")).toMatchObject({
      exitCode: 2,
      err: expect.stringContaining("--set 9.steps: there is no such node; the workflow has 1, 2, 3, 4, 5"),
    });
    expect(await run("run", flow, "--set", "steps")).toMatchObject({
      exitCode: 2,
      err: expect.stringContaining("Write it as node.input=value"),
    });
    expect(await run("run", join(directory.path, "nowhere.json"))).toMatchObject({
      exitCode: 2,
      err: expect.stringContaining("cannot read"),
    });
  });
});

describe("workflow validate", () => {
  it("says which backend can run it", async () => {
    const { "5": save } = graph;
    const good = {
      "1": { class_type: "EmptyImage", inputs: { width: 16, height: 16, batch_size: 1, color: 0 } },
      "5": save,
    };
    const flow = await file("good.json", writeJson(good));
    expect(await run("validate", flow)).toMatchObject({
      exitCode: 0,
      out: expect.stringMatching(/^backend \S+ can run it\n$/),
    });
    expect(JSON.parse((await run("validate", flow, "--json")).out)).toMatchObject({
      backends: [{ runnable: true }],
      graphSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });

  it("says everything that is wrong, with what each backend lacks", async () => {
    const flow = await file("bad.json", writeJson({ ...graph, "7": { class_type: "Nonsense", inputs: {} } }));
    const { exitCode, out } = await run(
      ...["validate", flow, "--set", "5.filename_prefix=/tmp/x", "--set", "2.ckpt_name=none.safetensors"],
    );
    expect(exitCode).toBe(1);
    const [policy, verdict, ...problems] = out.trimEnd().split("\n");
    expect(policy).toMatch(
      /^error: node 5 \(SaveImage "Keep"\), filename_prefix: filename_prefix names a file/,
    );
    expect(verdict).toMatch(
      /^backend \S+ cannot run it; it lacks node classes Nonsense and models none\.safetensors$/,
    );
    expect(problems).toEqual([
      expect.stringMatching(/^ {2}error: node 7 \(Nonsense\): the backend has no node class Nonsense; /),
      expect.stringMatching(/^ {2}warning: node 1 \(LoadImage\), image: .* an image with the request$/),
      expect.stringMatching(/^ {2}error: node 2 \(CheckpointLoaderSimple\), ckpt_name: /),
    ]);
  });
});

describe("workflow convert", () => {
  it("prints the graph, and on standard error what was left out", async () => {
    const saved = {
      version: 0.4,
      nodes: [
        {
          id: 1,
          type: "EmptyLatentImage",
          mode: 0,
          inputs: [],
          outputs: [{ name: "LATENT", type: "LATENT", links: [] }],
          widgets_values: [64, 48, 1],
        },
        { id: 2, type: "Note", mode: 0, inputs: [], outputs: [], widgets_values: ["remember"] },
      ],
      links: [],
    };
    const { exitCode, out, err } = await run("convert", await file("saved.json", JSON.stringify(saved)));
    expect(exitCode).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      "1": { class_type: "EmptyLatentImage", inputs: { width: 64, height: 48 } },
    });
    expect(err).toMatch(/^warning: node 2 \(Note\): /);
  });

  it("prints nothing of what is wrong", async () => {
    expect(await run("convert", await file("wrong.json", '{"1": 7}'))).toMatchObject({
      exitCode: 1,
      out: "",
      err: expect.stringMatching(/^error: node 1: node "1" is a number; /),
    });
    expect(await run("convert", await file("none.json", "[]"))).toMatchObject({ exitCode: 2, out: "" });
  });
});
