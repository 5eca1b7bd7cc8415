import { z } from "zod";
import type { ErrorReason } from "../../domain/errors.ts";
import type { GenerationPlan } from "../../domain/generation-plan.ts";
import type { GraphValue, WorkflowGraph } from "../../domain/graph.ts";
import type { ImageInfo } from "../../domain/image.ts";
import type { GenerationResult, LastingEventData } from "../../domain/job-event.ts";
import type { JobFailure } from "../../domain/job-failure.ts";
import type { Attempt } from "../../domain/job-record.ts";
import type { OutputInfo } from "../../domain/output.ts";
import { readJson } from "../../lib/lossless-json.ts";
import { generationSchema } from "./generation-codec.ts";
import { bigInteger, imageFormat } from "./json-values.ts";

// What is kept as JSON, as it is read again. Rows may have been written by an older version of this program, or by a
// newer one that runs beside it: what a later version adds must be optional here, and members that are not known here
// are left out.

/** The text of a `…_json` column. */
export function json<T>(schema: z.ZodType<T>): z.ZodType<T, string> {
  return z.string().transform((text) => schema.parse(readJson(text)));
}

const time = z.iso.datetime().transform((text) => new Date(text));

const graphValue: z.ZodType<GraphValue> = z.lazy(() =>
  z.union([
    z.string(),
    z.number(),
    z.bigint(),
    z.boolean(),
    z.null(),
    z.array(graphValue),
    z.record(z.string(), graphValue),
  ]),
);

/** {@link WorkflowGraph} */
export const graphSchema: z.ZodType<WorkflowGraph> = z.record(
  z.string(),
  z.object({
    class_type: z.string(),
    inputs: z.record(z.string(), graphValue),
    _meta: z.object({ title: z.string() }).exactOptional(),
  }),
);

/** {@link GenerationPlan} */
export const planSchema: z.ZodType<GenerationPlan> = z.object({
  graph: graphSchema,
  inputs: z.array(z.object({ assetId: z.string(), fileName: z.string() })).default([]),
  images: z.array(
    z.object({
      seed: bigInteger.exactOptional(),
      samplerNodeIds: z.array(z.string()),
      saveNodeId: z.string(),
    }),
  ),
  keeps: z.enum(["images", "everything"]).default("images"),
  seeds: z.record(z.string(), bigInteger).exactOptional(),
});

const outputPlace = z.object({ key: z.string(), position: z.number() });

/** {@link ImageInfo} */
export const imageSchema: z.ZodType<ImageInfo> = z.object({
  index: z.number(),
  nodeId: z.string(),
  format: imageFormat,
  widthPx: z.number(),
  heightPx: z.number(),
  sizeBytes: z.number(),
  sha256: z.string(),
  seed: bigInteger.exactOptional(),
  place: outputPlace.exactOptional(),
  thumbnail: z
    .object({
      format: imageFormat,
      widthPx: z.number(),
      heightPx: z.number(),
      sizeBytes: z.number(),
      sha256: z.string(),
    })
    .exactOptional(),
});

/** {@link OutputInfo} */
export const outputSchema: z.ZodType<OutputInfo> = z.object({
  index: z.number(),
  nodeId: z.string(),
  classType: z.string(),
  place: outputPlace,
  // A kind of a newer version is no ground for not showing the job at all.
  kind: z.enum(["image", "animation", "video", "audio", "model3d", "latent", "text", "file"]).catch("file"),
  mediaType: z.string(),
  fileName: z.string(),
  sizeBytes: z.number(),
  sha256: z.string(),
  text: z.string().exactOptional(),
});

/** {@link Attempt} */
export const attemptSchema: z.ZodType<Attempt> = z.object({
  number: z.number(),
  promptId: z.string(),
  backend: z.string(),
  fate: z.enum(["open", "unknown", "gone"]),
});

const reasons: Readonly<Record<ErrorReason, true>> = {
  INVALID_FIELD: true,
  MODEL_NOT_FOUND: true,
  LORA_NOT_FOUND: true,
  VAE_NOT_FOUND: true,
  SAMPLER_NOT_FOUND: true,
  SCHEDULER_NOT_FOUND: true,
  WORKFLOW_REJECTED: true,
  NODE_FAILED: true,
  OUT_OF_MEMORY: true,
  NO_OUTPUT: true,
  OUTPUT_TOO_LARGE: true,
  NO_BACKEND: true,
  BACKEND_LOST: true,
  BACKEND_STALLED: true,
  BACKEND_PROTOCOL: true,
  PROMPT_LOST: true,
  PROMPT_INTERRUPTED: true,
  LEASE_LOST: true,
  PROMPT_LEFT: true,
  QUEUE_FULL: true,
  RESPONSE_TOO_LARGE: true,
  JOB_TIMEOUT: true,
  CANCELLED_BY_CALLER: true,
  CANCELLED_BY_REQUEST: true,
  SHUTTING_DOWN: true,
  STORE_UNAVAILABLE: true,
  REQUEST_ID_REUSED: true,
  JOB_NOT_FOUND: true,
  BATCH_NOT_FOUND: true,
  ASSET_NOT_FOUND: true,
  JOB_ACTIVE: true,
  OFFSET_OUT_OF_RANGE: true,
  ASSET_REJECTED: true,
  ASSET_TOO_LARGE: true,
  INPUT_REJECTED: true,
  INPUT_UNREACHABLE: true,
  WORKFLOW_INVALID: true,
  NODE_NOT_ALLOWED: true,
  TEMPLATE_NOT_FOUND: true,
  NODE_CLASS_NOT_FOUND: true,
  TEMPLATE_IN_USE: true,
  INTERNAL: true,
};

function isReason(text: string): text is ErrorReason {
  return Object.hasOwn(reasons, text);
}

/** {@link JobFailure} */
export const failureSchema: z.ZodType<JobFailure> = z.object({
  // A reason of a newer version is no ground for not showing the job at all.
  reason: z.string().transform((text) => (isReason(text) ? text : "INTERNAL")),
  message: z.string(),
  details: z.object({
    metadata: z.record(z.string(), z.string()).exactOptional(),
    violations: z.array(z.object({ field: z.string(), description: z.string() })).exactOptional(),
    nodes: z
      .array(
        z.object({
          nodeId: z.string(),
          classType: z.string(),
          title: z.string().exactOptional(),
          errorType: z.string(),
          inputName: z.string().exactOptional(),
          message: z.string(),
        }),
      )
      .exactOptional(),
    retryAfterMs: z.number().exactOptional(),
  }),
});

const backendSchema = z.object({ name: z.string(), comfyUiVersion: z.string(), builtIn: z.boolean() });

/** {@link GenerationResult} */
export const resultSchema: z.ZodType<GenerationResult> = z.object({
  images: z.array(imageSchema),
  outputs: z.array(outputSchema).default([]),
  generation: generationSchema,
  graphSha256: z.string(),
  backend: backendSchema,
  attemptCount: z.number(),
  createTime: time,
  endTime: time,
  timings: z.object({
    queueMs: z.number(),
    backendQueueMs: z.number(),
    executionMs: z.number(),
    deliveryMs: z.number(),
    totalMs: z.number(),
  }),
  nodes: z.array(
    z.object({
      nodeId: z.string(),
      classType: z.string(),
      title: z.string(),
      startOffsetMs: z.number().exactOptional(),
      durationMs: z.number().exactOptional(),
      cached: z.boolean(),
    }),
  ),
  serviceVersion: z.string().exactOptional(),
  reusedJobId: z.string().exactOptional(),
});

/** {@link LastingEventData} */
export const eventDataSchema: z.ZodType<LastingEventData> = z.discriminatedUnion("type", [
  z.object({ type: z.literal("accepted"), generation: generationSchema }),
  z.object({ type: z.literal("queued"), jobsAhead: z.number(), attempt: z.number() }),
  z.object({
    type: z.literal("started"),
    backend: backendSchema,
    attempt: z.number(),
    nodeCount: z.number(),
    cachedNodeCount: z.number(),
  }),
  z.object({ type: z.literal("nodeStarted"), nodeId: z.string(), classType: z.string(), title: z.string() }),
  z.object({ type: z.literal("image"), image: imageSchema }),
  z.object({ type: z.literal("output"), output: outputSchema }),
  z.object({ type: z.literal("cancelling"), failure: failureSchema }),
  z.object({ type: z.literal("completed"), result: resultSchema }),
  z.object({
    type: z.literal("failed"),
    state: z.enum(["failed", "cancelled", "expired"]),
    failure: failureSchema,
  }),
]);

/** Labels of a job. */
export const labelsSchema: z.ZodType<Readonly<Record<string, string>>> = z.record(z.string(), z.string());
