import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { GenerationSpec, Lora } from "../../../gen/comfyrpc/v1/generation_pb.js";
import type { Image } from "../../../gen/comfyrpc/v1/image_pb.js";
import type { Job } from "../../../gen/comfyrpc/v1/job_pb.js";
import type { Output } from "../../../gen/comfyrpc/v1/output_pb.js";
import { failureLines } from "../describe-error.ts";
import { formatBytes } from "../format-bytes.ts";
import { formatTime } from "../format-time.ts";
import { plainText } from "../plain-text.ts";
import { rpcErrorOf } from "../rpc-error.ts";
import { shorten } from "../shorten.ts";
import { nameOfState } from "./job-states.ts";

/** All that people may want to know of `job`: a line for each thing, after its name. */
export function jobDetails(job: Job, now: Date): string[] {
  const facts: Fact[] = [
    ["job", job.jobId],
    ["state", nameOfState(job.state) + attemptText(job)],
    ...(job.resolvedSpec ? specFacts(job.resolvedSpec) : []),
    ["labels", labelsText(job.labels)],
    ["note", job.note],
    ["request", job.requestId],
    ["batch", job.batchId && `${job.batchId}, number ${job.batchIndex + 1}`],
    ["created", timeText(job.createTime, now)],
    ["started", timeText(job.startTime, now)],
    ["ended", timeText(job.endTime, now)],
    ["kept until", timeText(job.expireTime, now)],
    ["reused", job.result?.reusedJobId ?? ""],
    ...job.images.flatMap(imageFacts),
    ...job.outputs.flatMap(outputFacts),
  ];
  const lines = facts
    .map(([name, text]): Fact => [name, plainText(text)])
    .filter(([, text]) => text !== "")
    .map(([name, text]) => `${name.padEnd(nameWidth)}  ${text}`);
  return [...lines, ...errorText(job)];
}

type Fact = readonly [name: string, text: string];

/** Of a text, in characters. */
const longestText = 200;

const nameWidth = "kept until".length;

function specFacts(spec: GenerationSpec): Fact[] {
  const { widthPx, heightPx, imageCount = 1, steps, cfg, denoise, clipSkip } = spec;
  const size = [
    widthPx === undefined || heightPx === undefined ? "" : `${widthPx}x${heightPx}`,
    imageCount > 1 ? `${imageCount} images` : "",
  ];
  const sampling = [
    [spec.sampler, spec.scheduler].filter(Boolean).join("/"),
    steps === undefined ? "" : `${steps} steps`,
    cfg === undefined ? "" : `cfg ${cfg}`,
    denoise === undefined || denoise === 1 ? "" : `denoise ${denoise}`,
    clipSkip === undefined ? "" : `CLIP skip ${clipSkip}`,
  ];
  return [
    ["mode", modesOf(spec).filter(Boolean).join(", ")],
    ["prompt", spec.prompt],
    ["negative", spec.negativePrompt],
    ["model", spec.model],
    ["loras", spec.loras.map(loraText).join(", ")],
    ["vae", spec.vae],
    ["size", size.filter(Boolean).join(", ")],
    ["sampling", sampling.filter(Boolean).join(", ")],
    ["seed", `${spec.seed ?? ""}`],
  ];
}

/** What is done beside drawing a picture from a prompt, or in its place. */
function modesOf({
  start,
  controlNets,
  refiner,
  modelFiles,
  hires,
  upscale,
  workflow,
  template,
}: GenerationSpec): string[] {
  return [
    start.case === undefined ? "" : startNames[start.case],
    controlNets.length === 0 ? "" : `ControlNet ${controlNets.map(({ model }) => model).join(", ")}`,
    modelFiles ? `model files ${modelFiles.diffusionModel}` : "",
    refiner ? `refiner ${refiner.model}` : "",
    hires ? "hires" : "",
    upscale ? "upscale" : "",
    workflow ? "workflow" : "",
    template ? `template ${template.name}` : "",
    template?.revision.case ? `${template.revision.case} ${template.revision.value}` : "",
  ];
}

const startNames = { imageToImage: "image to image", inpaint: "inpaint", outpaint: "outpaint" } as const;

function loraText({ name, modelStrength = 1, clipStrength = modelStrength }: Lora): string {
  return `${name}:${modelStrength}${clipStrength === modelStrength ? "" : `:${clipStrength}`}`;
}

function attemptText({ attemptCount, backendName }: Job): string {
  if (attemptCount === 0) return "";
  const attempts = attemptCount > 1 ? ` after ${attemptCount} attempts` : "";
  return `${attempts}${backendName ? `, ${attemptCount > 1 ? "last " : ""}on ${backendName}` : ""}`;
}

function labelsText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(", ");
}

function timeText(time: Timestamp | undefined, now: Date): string {
  return time ? formatTime(time, now) : "";
}

function imageFacts({
  index,
  widthPx,
  heightPx,
  mediaType,
  sizeBytes,
  seed,
  assetId,
  thumbnail,
}: Image): Fact[] {
  const facts = `${widthPx}x${heightPx} ${mediaType}, ${formatBytes(sizeBytes)}, seed ${seed}`;
  return [
    [`image ${index + 1}`, facts],
    ["", assetId],
    ...(thumbnail
      ? ([
          ["", `thumbnail ${thumbnail.widthPx}x${thumbnail.heightPx} ${thumbnail.mediaType}`],
          ["", thumbnail.assetId],
        ] as const)
      : []),
  ];
}

function outputFacts({
  index,
  fileName,
  mediaType,
  sizeBytes,
  nodeId,
  classType,
  assetId,
  text,
}: Output): Fact[] {
  const what = [fileName, mediaType, formatBytes(sizeBytes), `of ${classType} ${nodeId}`].filter(Boolean);
  return [
    [`output ${index + 1}`, what.join(", ")],
    ["", assetId],
    ["", shorten(text ?? "", longestText)],
  ];
}

function errorText({ error }: Job): string[] {
  return error ? failureLines(rpcErrorOf(error)) : [];
}
