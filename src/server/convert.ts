import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  GenerationSpecSchema,
  ImageFormat,
  type GenerationSpec as SpecMessage,
} from "../../gen/comfyrpc/v1/generation_pb.js";
import { BackendState, type ServiceHealth, ServiceHealthSchema } from "../../gen/comfyrpc/v1/health_pb.js";
import type { ImageSchema } from "../../gen/comfyrpc/v1/image_pb.js";
import { type JobEvent as JobEventMessage, JobEventSchema } from "../../gen/comfyrpc/v1/job_event_pb.js";
import {
  GenerationResultSchema,
  type GenerationResult as ResultMessage,
} from "../../gen/comfyrpc/v1/result_pb.js";
import type { GenerationSpec, ResolvedGeneration } from "../domain/generation.ts";
import { type ImageFormat as DomainFormat, type ImageInfo, mediaTypeOf } from "../domain/image.ts";
import type { BackendInfo, GenerationResult, JobEvent, JobEventData } from "../domain/job-event.ts";
import type { EngineHealth, EngineState } from "../engine/engine.ts";

/** Reads a spec that has passed the rules of the schema. */
export function fromSpecMessage(spec: SpecMessage): GenerationSpec {
  const { preview, output } = spec;
  return defined({
    prompt: spec.prompt,
    negativePrompt: spec.negativePrompt,
    model: spec.model,
    widthPx: spec.widthPx,
    heightPx: spec.heightPx,
    steps: spec.steps,
    cfg: spec.cfg,
    denoise: spec.denoise,
    sampler: spec.sampler,
    scheduler: spec.scheduler,
    seed: spec.seed,
    imageCount: spec.imageCount,
    loras: spec.loras.map(({ name, modelStrength, clipStrength }) =>
      defined({ name, modelStrength, clipStrength }),
    ),
    clipSkip: spec.clipSkip,
    vae: spec.vae,
    preview: preview && defined({ maxSidePx: preview.maxSidePx, format: previewFormat(preview.format) }),
    output: defined({
      format: output && domainFormat[output.format],
      quality: output?.quality,
      inlineLimitBytes: output?.inlineLimitBytes,
    }),
  });
}

/** Writes a resolved generation as a spec that, sent again, means the same. */
export function toSpecMessage(generation: ResolvedGeneration): SpecMessage {
  const { preview, output, ...rest } = generation;
  return create(GenerationSpecSchema, {
    ...rest,
    loras: generation.loras.map((lora) => ({ ...lora })),
    ...(preview && { preview: { maxSidePx: preview.maxSidePx, format: messageFormat[preview.format] } }),
    output: { ...output, format: messageFormat[output.format] },
  });
}

/** Writes an event other than `image`, which needs the bytes of the image too. */
export function toEventMessage(
  jobId: string,
  data: Exclude<JobEventData, { type: "image" }>,
  { sequence, time }: JobEvent,
): JobEventMessage {
  return create(JobEventSchema, {
    sequence,
    emitTime: timestampFromDate(time),
    jobId,
    event: eventInit(jobId, data),
  });
}

type EventInit = NonNullable<MessageInitShape<typeof JobEventSchema>["event"]>;

function eventInit(jobId: string, data: Exclude<JobEventData, { type: "image" }>): EventInit {
  switch (data.type) {
    case "accepted":
      return { case: "accepted", value: { resolvedSpec: toSpecMessage(data.generation) } };
    case "queued":
      return { case: "queued", value: { jobsAhead: data.jobsAhead, attempt: data.attempt } };
    case "started":
      return {
        case: "started",
        value: {
          backend: toBackendInit(data.backend),
          attempt: data.attempt,
          nodeCount: data.nodeCount,
          cachedNodeCount: data.cachedNodeCount,
        },
      };
    case "nodeStarted":
      return {
        case: "nodeStarted",
        value: { nodeId: data.nodeId, classType: data.classType, title: data.title },
      };
    case "progress":
      return {
        case: "progress",
        value: {
          nodeId: data.nodeId,
          step: data.step,
          steps: data.steps,
          fraction: data.fraction,
          elapsed: toDuration(data.elapsedMs),
          ...(data.remainingMs === undefined ? {} : { remaining: toDuration(data.remainingMs) }),
        },
      };
    case "preview": {
      const { type: _, ...preview } = data;
      return { case: "preview", value: { ...preview, format: messageFormat[data.format] } };
    }
    case "completed":
      return { case: "completed", value: { result: toResultMessage(jobId, data.result) } };
  }
}

/** Writes what is known of an image, without its data. */
export function toImageInit(image: ImageInfo): MessageInitShape<typeof ImageSchema> {
  return {
    index: image.index,
    nodeId: image.nodeId,
    format: messageFormat[image.format],
    mediaType: mediaTypeOf[image.format],
    widthPx: image.widthPx,
    heightPx: image.heightPx,
    sizeBytes: BigInt(image.sizeBytes),
    sha256: image.sha256,
    seed: image.seed,
  };
}

/** Writes the result of a job; its images have no data. */
export function toResultMessage(jobId: string, result: GenerationResult): ResultMessage {
  const { timings } = result;
  return create(GenerationResultSchema, {
    jobId,
    images: result.images.map(toImageInit),
    resolvedSpec: toSpecMessage(result.generation),
    graphSha256: result.graphSha256,
    backend: toBackendInit(result.backend),
    attemptCount: result.attemptCount,
    createTime: timestampFromDate(result.createTime),
    endTime: timestampFromDate(result.endTime),
    timings: {
      queue: toDuration(timings.queueMs),
      backendQueue: toDuration(timings.backendQueueMs),
      execution: toDuration(timings.executionMs),
      delivery: toDuration(timings.deliveryMs),
      total: toDuration(timings.totalMs),
    },
    nodes: result.nodes.map(({ startOffsetMs, durationMs, ...node }) => ({
      ...node,
      ...(startOffsetMs === undefined ? {} : { startOffset: toDuration(startOffsetMs) }),
      ...(durationMs === undefined ? {} : { duration: toDuration(durationMs) }),
    })),
  });
}

/** What {@link toHealthMessage} says of the service. */
export interface HealthFacts {
  readonly ready: boolean;
  readonly version: string;
  readonly uptimeMs: number;
  readonly queuedCount: number;
  readonly runningCount: number;
  readonly backends: readonly { readonly name: string; readonly health: EngineHealth }[];
}

export function toHealthMessage(facts: HealthFacts): ServiceHealth {
  return create(ServiceHealthSchema, {
    ready: facts.ready,
    version: facts.version,
    uptime: toDuration(facts.uptimeMs),
    queuedJobCount: facts.queuedCount,
    runningJobCount: facts.runningCount,
    backends: facts.backends.map(({ name, health }) => ({
      backend: toBackendInit({ name, comfyUiVersion: health.version, builtIn: health.builtIn }),
      state: stateOf[health.state],
      reason: health.reason,
      stateChangeTime: timestampFromDate(health.since),
      queueDepth: health.queueDepth,
    })),
  });
}

const stateOf: Readonly<Record<EngineState, BackendState>> = {
  connecting: BackendState.CONNECTING,
  up: BackendState.UP,
  degraded: BackendState.DEGRADED,
  down: BackendState.DOWN,
};

const messageFormat: Readonly<Record<DomainFormat, ImageFormat>> = {
  png: ImageFormat.PNG,
  jpeg: ImageFormat.JPEG,
  webp: ImageFormat.WEBP,
  avif: ImageFormat.AVIF,
};

const domainFormat: Readonly<Record<ImageFormat, DomainFormat | undefined>> = {
  [ImageFormat.UNSPECIFIED]: undefined,
  [ImageFormat.PNG]: "png",
  [ImageFormat.JPEG]: "jpeg",
  [ImageFormat.WEBP]: "webp",
  [ImageFormat.AVIF]: "avif",
};

function previewFormat(format: ImageFormat): "jpeg" | "webp" | undefined {
  return format === ImageFormat.WEBP ? "webp" : format === ImageFormat.JPEG ? "jpeg" : undefined;
}

function toBackendInit({ name, comfyUiVersion, builtIn }: BackendInfo) {
  return { name, comfyuiVersion: comfyUiVersion, builtIn };
}

/** In whole microseconds: the clock knows no finer. */
function toDuration(ms: number) {
  const microseconds = Math.round(ms * 1_000);
  const whole = durationFromMs(Math.trunc(microseconds / 1_000));
  whole.nanos += (microseconds % 1_000) * 1_000;
  return whole;
}

/** The members of `T` without `undefined` in those that may be absent. */
type Defined<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

/** Leaves out the members that are `undefined`. */
function defined<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as Defined<T>;
}
