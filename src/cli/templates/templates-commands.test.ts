import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { onePixelPng } from "../../../test/support/scripted-engine.ts";
import { type ServiceFixture, startServiceFixture } from "../../../test/support/start-service.ts";
import { captureIo } from "../testing/capture-io.ts";
import { type CliOutcome, runCli } from "../testing/run-cli.ts";
import { createTemporaryDirectory, type TemporaryDirectory } from "../testing/temporary-directory.ts";

let fixture: ServiceFixture;
let directory: TemporaryDirectory;
let workflowFile: string;

beforeAll(async () => {
  fixture = await startServiceFixture();
  directory = await createTemporaryDirectory();
  workflowFile = join(directory.path, "workflow.json");
  const shipped = new URL("../../../templates/text-to-image.json", import.meta.url);
  await writeFile(workflowFile, JSON.stringify(JSON.parse(await readFile(shipped, "utf8")).workflow));
});

afterAll(async () => {
  await directory?.[Symbol.asyncDispose]();
  await fixture?.[Symbol.asyncDispose]();
});

const run = (...args: readonly string[]): Promise<CliOutcome> =>
  runCli(["templates", ...args, "--server", new URL(fixture.url).host], {
    io: captureIo(),
    signal: AbortSignal.timeout(20_000),
  });

const small = ["-p", "width=64", "-p", "height=64", "-p", "steps=1"];

describe("templates", () => {
  it("list shows those there are, and the versions of one", async () => {
    const { out, exitCode } = await run("list");
    const [header, ...rows] = out.trimEnd().split("\n");
    expect(exitCode).toBe(0);
    expect(header).toMatch(/^NAME +VERSION +AGE +ALIASES +PARAMETERS +DESCRIPTION$/);
    expect(rows.map((row) => row.split(" ")[0])).toEqual(expect.arrayContaining(["inpaint", "upscale"]));
    expect(JSON.parse((await run("list", "upscale", "--json")).out)).toMatchObject({ version: 1 });
    expect(await run("list", "none-such")).toMatchObject({
      exitCode: 6,
      err: expect.stringMatching(/^error: TEMPLATE_NOT_FOUND: there is no template none-such/),
    });
  });

  it("get shows the parameters, or the workflow", async () => {
    const { out } = await run("get", "text-to-image");
    expect(out).toMatch(/^text-to-image@1\nDraws a picture/);
    expect(out).toMatch(/^prompt +text +refused +Prompt: What the picture shows\.$/m);
    expect(out).toMatch(/^seed +seed +random +Seed/m);
    expect(out).toMatch(/^checkpoint +choice +the first there is +/m);
    const workflow = await run("get", "text-to-image@1", "--workflow");
    expect(JSON.parse(workflow.out)).toHaveProperty(["3", "class_type"], "KSampler");
  });

  it("propose and register make versions, alias points to them, delete removes them", async () => {
    const proposed = await run("propose", workflowFile);
    const parameters = join(directory.path, "parameters.json");
    await writeFile(parameters, JSON.stringify(JSON.parse(proposed.out).slice(0, 2)));
    expect(await run("register", "poster", workflowFile, "--check")).toMatchObject({
      ...{ out: "poster\n", err: "it can be registered\n" },
    });
    expect(await run("register", "poster", workflowFile, "--alias", "production")).toMatchObject({
      ...{ exitCode: 0, out: "poster@1\n", err: "registered\n" },
    });
    const second = await run("register", "poster", workflowFile, "--parameters", parameters);
    expect(second.out).toBe("poster@2\n");
    const again = await run("register", "poster", workflowFile, "--parameters", parameters);
    expect(again).toMatchObject({ out: "poster@2\n", err: "there is a version of equal content already\n" });
    expect((await run("get", "poster@production")).out).toMatch(/^poster@1 \(production\)\n/);

    expect(await run("delete", "poster@1")).toMatchObject({
      err: expect.stringMatching(/^error: TEMPLATE_IN_USE/),
    });
    expect((await run("alias", "poster@2", "production")).exitCode).toBe(0);
    expect((await run("delete", "poster@1")).exitCode).toBe(0);
    expect((await run("alias", "poster", "production", "--delete")).exitCode).toBe(0);
    expect((await run("get", "poster@production")).exitCode).toBe(6);
    expect((await run("delete", "poster")).exitCode).toBe(0);
    expect((await run("list", "poster")).exitCode).toBe(6);
  });

  it("schema prints the JSON Schema", async () => {
    const { out } = await run("schema", "upscale");
    expect(JSON.parse(out)).toMatchObject({ title: "upscale", required: ["image"] });
  });

  it("run draws, and saves under the words of the prompt", async () => {
    const target = join(directory.path, "out");
    const { exitCode, out, err } = await run(
      ...["run", "text-to-image", "-p", "prompt=a red fox", "-p", "seed=18446744073709551615"],
      ...[...small, "--json", "--out", target],
    );
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: "" });
    const { files, result } = JSON.parse(out.trimEnd().split("\n").at(-1) ?? "");
    expect(files).toEqual([expect.stringMatching(/a-red-fox.*\.png$/)]);
    expect(result.resolvedSpec.template).toMatchObject({
      ...{ name: "text-to-image", version: 1 },
      parameters: { prompt: "a red fox", seed: "18446744073709551615", width: 64, cfg: 7 },
    });
  });

  it("run takes an image from a file", async () => {
    const image = join(directory.path, "pixel.png");
    await writeFile(image, onePixelPng);
    const { exitCode, err } = await run(
      ...["run", "upscale", "--image", `image=${image}`, "--out", join(directory.path, "large.png"), "-q"],
    );
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: "" });
  });

  it("run names what is wrong with parameters by its option", async () => {
    const failed = await run("run", "text-to-image", "-p", "promt=x", "-p", "sampler=eular");
    expect(failed.exitCode).toBe(2);
    expect(failed.err).toMatch(/\["promt"\] \(--param\): .*the nearest it has: prompt/);
    expect(failed.err).toMatch(/\["prompt"\] \(--param\): value is required/);
    expect(failed.err).toMatch(/\["sampler"\] \(--param\): has no choice "eular"/);
  });

  it.each([
    [["run", "text-to-image", "-p", "cfg=high"], /--param cfg: takes a number/],
    [["run", "upscale", "-p", "image=x.png"], /write --image image=FILE/],
    [["run", "upscale", "--image", "image=none.png"], /cannot read none\.png/],
    [["run", "upscale", "-p", "image"], /Write it as name=value/],
    [["get", "@3"], /name@3 or name@alias/],
    [["alias", "upscale", "production"], /say which version/],
    [["delete", "upscale@production"], /by its number/],
    [["register", "x", "none.json"], /cannot read none\.json/],
    [["register", "x", import.meta.filename, "--parameters", import.meta.filename], /--parameters: no JSON/],
  ])("%j is wrong usage", async (args, text) => {
    const { exitCode, err } = await run(...args);
    expect(err).toMatch(text);
    expect(exitCode).toBe(2);
  });
});
