import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { ImageFormat, ImageMetadata } from "../../gen/comfyrpc/v1/generation_pb.js";
import type { SubmitJobRequest } from "../../gen/comfyrpc/v1/job_service_pb.js";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { onStage } from "./testing/on-stage.ts";
import { runCli } from "./testing/run-cli.ts";
import { assetIdOf, downloadOf, storedImageOf } from "./testing/staged-assets.ts";
import { jobIdOf, jobOf, lifeOf } from "./testing/staged-jobs.ts";
import type { StagedMethods } from "./testing/staged-service.ts";

const picture = Buffer.from("not really a picture");

/** A service that takes jobs, notes their requests, and draws {@link picture}. */
function taking(requests: SubmitJobRequest[] = []): StagedMethods {
  const events = lifeOf(1, [storedImageOf(picture)]);
  return {
    submitJob: (request) => {
      requests.push(request);
      return { job: jobOf(1) };
    },
    getJob: () => ({ job: jobOf(1, { lastSequence: 1n }) }),
    async *watchJob({ afterSequence }) {
      yield* events.filter(({ sequence }) => sequence > afterSequence).map((event) => ({ event }));
    },
    async *downloadAsset(request) {
      yield* downloadOf(picture, request);
    },
  };
}

describe("submit", () => {
  it("prints the id of the job alone, or the job as a line of JSON", async () => {
    await onStage(taking(), async ({ run }) => {
      expect(await run(["submit", "a red fox"])).toEqual({ exitCode: 0, out: `${jobIdOf(1)}\n`, err: "" });
      const { out } = await run(["submit", "a red fox", "--json"]);
      expect(out.indexOf("\n")).toBe(out.length - 1);
      expect(JSON.parse(out)).toMatchObject({
        jobId: jobIdOf(1),
        state: "JOB_STATE_QUEUED",
        attemptCount: 0,
      });
    });
  });

  it("sends every option", async () => {
    const requests: SubmitJobRequest[] = [];
    await onStage(taking(requests), async ({ run }) => {
      const flags =
        "--negative mud -m m.safetensors --size 768x512 --steps 30 --cfg 6.5 --denoise 0.9 --sampler ddim " +
        "--scheduler karras --seed 18446744073709551615 --count 3 --lora a:0.5 --lora b --clip-skip 2 --vae v.pt " +
        "--preview --format webp --quality 80 --strip-metadata --request-id order-42 --label team=web -l a=b=c " +
        "--note why --retention 7d --reuse";
      const { exitCode, err } = await run(["submit", "a red fox", ...flags.split(" ")]);
      expect(exitCode, err).toBe(0);
      expect(requests[0]).toMatchObject({
        spec: {
          prompt: "a red fox",
          negativePrompt: "mud",
          model: "m.safetensors",
          widthPx: 768,
          heightPx: 512,
          steps: 30,
          cfg: 6.5,
          denoise: 0.9,
          sampler: "ddim",
          scheduler: "karras",
          seed: 18446744073709551615n,
          imageCount: 3,
          loras: [{ name: "a", modelStrength: 0.5 }, { name: "b" }],
          clipSkip: 2,
          vae: "v.pt",
          preview: {},
          output: { format: ImageFormat.WEBP, quality: 80, metadata: ImageMetadata.STRIP },
          allowReuse: true,
        },
        requestId: "order-42",
        options: { labels: { team: "web", a: "b=c" }, note: "why", retention: { seconds: 604_800n } },
      });
    });
  });

  it("goes on as `jobs watch` does with --watch", async () => {
    await onStage(taking(), async ({ run }) => {
      const { exitCode, out, err } = await run(["submit", "a red fox", "--watch"]);
      expect({ exitCode, out }).toEqual({ exitCode: 0, out: `${jobIdOf(1)}\n${assetIdOf(picture)}\n` });
      expect(err).toContain("512x512, seed 42");
    });
  });

  it("saves the images with --out, in the format of the name", async () => {
    const requests: SubmitJobRequest[] = [];
    await onStage(taking(requests), async ({ run, directory }) => {
      const path = join(directory.path, "fox.png");
      const { out } = await run(["submit", "a red fox", "--out", path, "-q"]);
      expect(out).toBe(`${jobIdOf(1)}\n${path}\n`);
      expect(await readFile(path)).toEqual(picture);
      expect(requests[0]?.spec?.output?.format).toBe(ImageFormat.PNG);
    });
  });

  it("names the options that the service refuses, and watches nothing then", async () => {
    const submitJob = () => {
      throw new ConnectError("2 fields", Code.InvalidArgument, undefined, [
        { desc: ErrorInfoSchema, value: { reason: "INVALID_FIELD" } },
        {
          desc: BadRequestSchema,
          value: {
            fieldViolations: [
              { field: "spec.steps", description: "≤ 150" },
              { field: 'options.labels["a b"]', description: "odd" },
            ],
          },
        },
      ]);
    };
    await onStage({ submitJob }, async ({ run }) => {
      expect(await run(["submit", "a red fox", "--watch", "--steps", "900"])).toEqual({
        exitCode: 2,
        out: "",
        err: 'error: INVALID_FIELD: 2 fields\n  spec.steps (--steps): ≤ 150\n  options.labels["a b"] (--label): odd\n',
      });
    });
  });

  it("says at Ctrl-C that the job may be there", async () => {
    const abort = new AbortController();
    const submitJob: StagedMethods["submitJob"] = async (_, { signal }) => {
      abort.abort();
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      return {};
    };
    await onStage({ submitJob }, async ({ run }) => {
      const { exitCode, err } = await run(["submit", "a red fox"], undefined, abort.signal);
      expect(exitCode).toBe(130);
      expect(err).toContain("may have been made all the same");
    });
  });

  it.each([
    [[], /missing required argument 'prompt'/],
    [["a", "b"], /too many arguments/],
    [["a", "--detach"], /unknown option '--detach'/],
    [["a", "--format", "png", "--out", "fox.jpg"], /--format png contradicts --out fox\.jpg/],
  ])("refuses %j", async (args, message) => {
    const { exitCode, err, out } = await runCli(["submit", ...args]);
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: "" });
    expect(err).toMatch(message);
  });
});
