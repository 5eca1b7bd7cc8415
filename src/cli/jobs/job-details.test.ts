import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { expect, it } from "vitest";
import type { GenerationSpec, GenerationSpecSchema } from "../../../gen/comfyrpc/v1/generation_pb.js";
import { JobState } from "../../../gen/comfyrpc/v1/job_state_pb.js";
import { OutputKind } from "../../../gen/comfyrpc/v1/output_pb.js";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.js";
import { assetIdOf, storedImageOf } from "../testing/staged-assets.ts";
import { jobIdOf, jobOf } from "../testing/staged-jobs.ts";
import { jobDetails } from "./job-details.ts";

const now = new Date(Date.UTC(2026, 0, 2, 3, 9, 8));
const picture = Buffer.from("not really a picture");

it("says all that is known, each in a line that fits into 80 columns", () => {
  const job = jobOf(1, {
    state: JobState.FAILED,
    labels: { team: "web", draft: "" },
    note: "for the\u0007front page",
    requestId: "order-42",
    batchId: jobIdOf(9),
    batchIndex: 2,
    resolvedSpec: {
      prompt: "a red fox",
      negativePrompt: "mud",
      model: "dream.safetensors",
      widthPx: 512,
      heightPx: 768,
      steps: 20,
      cfg: 7,
      denoise: 1,
      sampler: "euler",
      scheduler: "normal",
      seed: 42n,
      imageCount: 2,
      loras: [{ name: "film", modelStrength: 0.8, clipStrength: 0.5 }],
    },
    startTime: timestampFromMs(now.getTime() - 60_000),
    endTime: timestampFromMs(now.getTime() - 5_000),
    expireTime: timestampFromMs(now.getTime() + 86_400_000),
    attemptCount: 2,
    backendName: "gpu-a",
    images: [storedImageOf(picture)],
    outputs: [
      {
        nodeId: "12",
        classType: "ShowText",
        kind: OutputKind.TEXT,
        mediaType: "text/plain",
        sizeBytes: 5n,
        assetId: assetIdOf(Buffer.from("a fox")),
        text: "a\nfox",
      },
    ],
    error: {
      code: 9,
      message: "KSampler failed",
      details: [anyPack(ErrorInfoSchema, create(ErrorInfoSchema, { reason: "NODE_FAILED" }))],
    },
  });
  const lines = jobDetails(job, now);
  expect(lines).toEqual([
    `job         ${jobIdOf(1)}`,
    "state       failed after 2 attempts, last on gpu-a",
    "prompt      a red fox",
    "negative    mud",
    "model       dream.safetensors",
    "loras       film:0.8:0.5",
    "size        512x768, 2 images",
    "sampling    euler/normal, 20 steps, cfg 7",
    "seed        42",
    "labels      team=web, draft=",
    "note        for the front page",
    "request     order-42",
    `batch       ${jobIdOf(9)}, number 3`,
    "created     2026-01-02 03:04:05Z, 5m03s ago",
    "started     2026-01-02 03:08:08Z, 1m00s ago",
    "ended       2026-01-02 03:09:03Z, 5s ago",
    "kept until  2026-01-03 03:09:08Z, in 24h00m",
    "image 1     512x512 image/png, 20 bytes, seed 42",
    `            ${assetIdOf(picture)}`,
    "output 1    text/plain, 5 bytes, of ShowText 12",
    `            ${assetIdOf(Buffer.from("a fox"))}`,
    "            a fox",
    "error: NODE_FAILED: KSampler failed",
  ]);
  for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(80);
});

it("leaves out what is not known", () => {
  expect(jobDetails(jobOf(1), now)).toEqual([
    `job         ${jobIdOf(1)}`,
    "state       queued",
    "prompt      a red fox",
    "size        512x768",
    "seed        42",
    "created     2026-01-02 03:04:05Z, 5m03s ago",
  ]);
});

it.each<[what: string, spec: SpecFields, lines: string[]]>([
  ["a workflow", { workflow: { json: "{}" } }, ["mode        workflow"]],
  [
    "a template",
    { template: { name: "poster", revision: { case: "version", value: 3 } } },
    ["mode        template poster, version 3"],
  ],
  [
    "a picture with everything",
    {
      prompt: "an owl",
      start: { case: "inpaint", value: {} },
      controlNets: [{ model: "canny.pth" }],
      refiner: { model: "refiner.safetensors" },
      hires: { scale: 1.5 },
      upscale: { factor: 2 },
    },
    [
      "mode        inpaint, ControlNet canny.pth, refiner refiner.safetensors, hires, upscale",
      "prompt      an owl",
    ],
  ],
])("says what is done with %s, and no size that it does not know", (_, resolvedSpec, expected) => {
  expect(jobDetails(jobOf(1, { resolvedSpec }), now).slice(2, -1)).toEqual(expected);
});

type SpecFields = Exclude<MessageInitShape<typeof GenerationSpecSchema>, GenerationSpec>;
