import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { SubmitBatchRequest } from "../../../gen/comfyrpc/v1/job_service_pb.js";
import { captureIo } from "../testing/capture-io.ts";
import { onStage } from "../testing/on-stage.ts";
import { runCli } from "../testing/run-cli.ts";
import { jobIdOf, jobOf } from "../testing/staged-jobs.ts";
import type { StagedMethods } from "../testing/staged-service.ts";

/** A service that makes two jobs of every batch, and notes what it was asked for. */
function taking(requests: SubmitBatchRequest[] = []): StagedMethods {
  return {
    submitBatch: (request) => {
      requests.push(request);
      return { batch: { batchId: jobIdOf(9), jobs: [jobOf(1), jobOf(2)] } };
    },
  };
}

/** The request that a command line makes. */
async function requestOf(args: readonly string[], input?: string): Promise<SubmitBatchRequest | undefined> {
  const requests: SubmitBatchRequest[] = [];
  await onStage(taking(requests), async ({ run }) => {
    const io = captureIo(input === undefined ? {} : { input: [Buffer.from(input)] });
    const { exitCode, err } = await run(["batch", ...args], io);
    expect(exitCode, err).toBe(0);
  });
  return requests[0];
}

describe("batch", () => {
  it.each([[["batch"]], [["batch", "submit"]]])(
    "prints the id of the batch, then those of its jobs, as %j",
    async (command) => {
      await onStage(taking(), async ({ run }) => {
        expect(await run([...command, "a red fox"])).toEqual({
          exitCode: 0,
          out: `${jobIdOf(9)}\n${jobIdOf(1)}\n${jobIdOf(2)}\n`,
          err: "",
        });
        const { out } = await run([...command, "a red fox", "--json"]);
        expect(JSON.parse(out)).toMatchObject({ batchId: jobIdOf(9), jobs: [{ jobId: jobIdOf(1) }, {}] });
      });
    },
  );

  it("makes a grid of options that have several values, or are given again", async () => {
    const flags =
      "--seeds 1-3 --seeds 9 --steps 10,20 --cfgs 5,7.5 --samplers euler,ddim --size 768x512 --denoise 0.5 " +
      "--format webp --preview --reuse --request-id night -l team=web --note why --retention 2h";
    const request = await requestOf(["a red fox", "a blue bird", ...flags.split(" ")]);
    expect(request).toMatchObject({
      source: {
        case: "grid",
        value: {
          base: { prompt: "", widthPx: 768, heightPx: 512, denoise: 0.5, preview: {}, allowReuse: true },
          prompts: ["a red fox", "a blue bird"],
          seeds: [1n, 2n, 3n, 9n],
          steps: [10, 20],
          cfgs: [5, 7.5],
          samplers: ["euler", "ddim"],
        },
      },
      requestId: "night",
      options: { labels: { team: "web" }, note: "why", retention: { seconds: 7200n } },
    });
  });

  it("takes options before the prompts too", async () => {
    const request = await requestOf(["--seeds", "1,2", "a red fox"]);
    expect(request?.source).toMatchObject({ value: { prompts: ["a red fox"], seeds: [1n, 2n] } });
  });

  it("takes options with one value for all jobs", async () => {
    const request = await requestOf(["a red fox", "--seed", "42", "--cfg", "5", "--sampler", "ddim"]);
    expect(request?.source).toMatchObject({
      value: { base: { seed: 42n, cfg: 5, sampler: "ddim" }, seeds: [], cfgs: [], samplers: [], steps: [] },
    });
  });

  it("reads specs from a file and from standard input", async () => {
    const specs =
      '[{"prompt": "a red fox", "seed": "18446744073709551615"}, {"prompt": "a bird", "widthPx": 64}]';
    const expected = {
      case: "specs",
      value: {
        specs: [
          { prompt: "a red fox", seed: 2n ** 64n - 1n },
          { prompt: "a bird", widthPx: 64 },
        ],
      },
    };
    expect((await requestOf(["--specs", "-", "--label", "a=b"], specs))?.source).toMatchObject(expected);
    await onStage({}, async ({ directory }) => {
      const path = join(directory.path, "specs.json");
      await writeFile(path, specs);
      expect((await requestOf(["--specs", path]))?.source).toMatchObject(expected);
    });
  });

  it.each([
    ["{", /--specs: no JSON/],
    ["{}", /write a JSON array of specs/],
    ["[]", /write a JSON array of specs/],
    ['[{"prompt": "a"}, {"promt": "b"}]', /spec 2: .*promt/],
    ['[{"prompt": 7}]', /spec 1: .*prompt/],
  ])("refuses %j as specs", async (input, message) => {
    const io = captureIo({ input: [Buffer.from(input)] });
    const { exitCode, out, err } = await runCli(["batch", "--specs", "-"], { io });
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: "" });
    expect(err).toMatch(message);
  });

  it.each([
    [[], /give prompts, or specs with --specs/],
    [["a", "--specs", "x.json"], /--specs holds the prompts/],
    [["--specs", "x.json", "--seeds", "1,2"], /--specs says all that --seeds does/],
    [["--specs", "x.json", "--width", "64"], /--specs says all that --width does/],
    [["--specs", "x.json", "--reuse"], /--specs says all that --reuse does/],
    [["--specs", "no-such-file.json"], /--specs: cannot read no-such-file\.json/],
    [["a", "--seed", "1", "--seeds", "1,2"], /'--seeds <n,…>' cannot be used with option '-s, --seed/],
    [["a", "--cfg", "1", "--cfgs", "1,2"], /cannot be used with/],
    [["a", "--sampler", "a", "--samplers", "a,b"], /cannot be used with/],
    [["a", "--seeds", "4-1"], /A range goes up/],
    [["a", "--out", "fox.png"], /a batch needs a directory/],
  ])("refuses %j", async (args, message) => {
    const { exitCode, err, out } = await runCli(["batch", ...args]);
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: "" });
    expect(err).toMatch(message);
  });

  it("shows its subcommands, and how to do without", async () => {
    const { exitCode, out } = await runCli(["batch", "--help"]);
    expect(exitCode).toBe(0);
    expect(out).toMatch(/submit .*\n.*get .*\n.*watch .*\n/);
    expect(out).toContain('comfyrpc batch "a red fox" "a blue bird" --seeds 1-4');
  });
});
