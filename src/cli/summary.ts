import { durationMs } from "@bufbuild/protobuf/wkt";
import type { Image } from "../../gen/comfyrpc/v1/image_pb.js";
import type { Backend, GenerationResult, PhaseTimings } from "../../gen/comfyrpc/v1/result_pb.js";
import { formatDuration } from "./format-duration.ts";
import { plainText } from "./plain-text.ts";

/** A few lines for people about a job that succeeded: what was made, by whom, in what time. */
export function summaryLines(result: GenerationResult): string[] {
  const model = plainText(result.resolvedSpec?.model ?? "");
  const facts = [
    ...(result.images.length > 0 ? [sizeText(result.images), ...seedText(result)] : []),
    ...outputText(result.outputs.length),
    ...(model ? [`model ${model}`] : []),
  ];
  const by = `${backendText(result.backend)}${timeText(result.timings)}${attemptText(result.attemptCount)}`;
  return [facts.join(", "), by, ...reusedNote(result.reusedJobId), ...builtInNote(result.backend)];
}

function sizeText(images: readonly Image[]): string {
  const sizes = new Set(images.map(({ widthPx, heightPx }) => `${widthPx}x${heightPx}`));
  const count = images.length === 1 ? "" : `${images.length} images, `;
  return `${count}${[...sizes].join(" and ")}`;
}

function outputText(count: number): string[] {
  if (count === 0) return [];
  return [count === 1 ? "1 other output" : `${count} other outputs`];
}

/** Images that nothing drew, or a workflow that does not say by which seed, have the seed 0. */
function seedText({ images, resolvedSpec }: GenerationResult): string[] {
  const seeds = new Set(images.map(({ seed }) => seed));
  const [first, ...rest] = seeds;
  const last = rest.at(-1);
  if (last !== undefined) return [`seeds ${first} to ${last}`];
  return first === 0n && resolvedSpec?.seed === undefined ? [] : [`seed ${first}`];
}

function backendText(backend: Backend | undefined): string {
  if (!backend) return "done";
  const version = backend.comfyuiVersion ? `ComfyUI ${plainText(backend.comfyuiVersion)}` : "version unknown";
  return `on ${plainText(backend.name)}${backend.builtIn ? "" : ` (${version})`}`;
}

function timeText(timings: PhaseTimings | undefined): string {
  if (!timings?.total) return "";
  const waitMs = [timings.queue, timings.backendQueue].reduce(
    (sum, time) => sum + (time ? durationMs(time) : 0),
    0,
  );
  const wait = waitMs >= 1000 ? `, ${formatDuration(waitMs)} of it in the queue` : "";
  return ` in ${formatDuration(durationMs(timings.total))}${wait}`;
}

function attemptText(attemptCount: number): string {
  return attemptCount > 1 ? `, after ${attemptCount} attempts` : "";
}

function reusedNote(jobId: string): string[] {
  return jobId === "" ? [] : [`by job ${plainText(jobId)}, whose images were used again`];
}

function builtInNote(backend: Backend | undefined): string[] {
  if (!backend?.builtIn) return [];
  return ["drawn by the built-in engine, not by a diffusion model: set COMFYUI_URL to use ComfyUI"];
}
