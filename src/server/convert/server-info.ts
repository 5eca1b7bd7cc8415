import { create } from "@bufbuild/protobuf";
import { AiMarkRule, type ServerInfo, ServerInfoSchema } from "../../../gen/comfyrpc/v1/server_info_pb.js";
import type { AiMarkPolicy } from "../../domain/resolve/resolve-output.ts";
import type { WorkflowPolicy } from "../../domain/workflow/policy.ts";
import type { BackendFacts } from "./health.ts";
import { toBackendInit } from "./result.ts";
import { toDuration } from "./time.ts";

/** What {@link toServerInfoMessage} says of the service. All times in milliseconds. */
export interface ServerFacts {
  readonly version: string;
  /** Checkpoint for specs that name none; empty: the first that the backends list. */
  readonly defaultModel: string;
  readonly limits: {
    readonly maxPixels: number;
    readonly maxSteps: number;
    readonly maxImageCount: number;
    readonly maxBatchJobCount: number;
    readonly maxUploadBytes: number;
    readonly maxUploadPixels: number;
    readonly maxRequestBytes: number;
    readonly defaultInlineLimitBytes: number;
    readonly defaultRetentionMs: number;
    readonly maxRetentionMs: number;
    readonly maxQueuedJobCount: number;
    readonly maxQueueMs: number;
    readonly maxRunMs: number;
    readonly reconnectGraceMs: number;
    readonly maxUpscaledPixels: number;
    readonly maxWorkflowNodeCount: number;
    readonly maxWorkflowBytes: number;
    readonly maxOutputBytes: number;
    readonly maxInputPixels: number;
  };
  readonly features: {
    readonly signedLinksOnly: boolean;
    readonly directLinks: boolean;
    readonly urlInputs: boolean;
    readonly urlInputsOverHttp: boolean;
    readonly aiMark: AiMarkPolicy;
  };
  readonly workflowPolicy: WorkflowPolicy;
}

/** Writes what the service is and allows. */
export function toServerInfoMessage(
  { version, defaultModel, limits, features, workflowPolicy }: ServerFacts,
  backends: readonly BackendFacts[],
): ServerInfo {
  return create(ServerInfoSchema, {
    version,
    apiVersion: "v1",
    limits: {
      maxPixels: BigInt(limits.maxPixels),
      maxSteps: limits.maxSteps,
      maxImageCount: limits.maxImageCount,
      maxBatchJobCount: limits.maxBatchJobCount,
      maxUploadBytes: BigInt(limits.maxUploadBytes),
      maxUploadPixels: BigInt(limits.maxUploadPixels),
      maxRequestBytes: BigInt(limits.maxRequestBytes),
      defaultInlineLimitBytes: limits.defaultInlineLimitBytes,
      maxInlineLimitBytes,
      defaultRetention: toDuration(limits.defaultRetentionMs),
      maxRetention: toDuration(limits.maxRetentionMs),
      maxQueuedJobCount: limits.maxQueuedJobCount,
      maxQueueTime: toDuration(limits.maxQueueMs),
      maxRunTime: toDuration(limits.maxRunMs),
      reconnectGraceTime: toDuration(limits.reconnectGraceMs),
      maxUpscaledPixels: BigInt(limits.maxUpscaledPixels),
      maxWorkflowNodeCount: limits.maxWorkflowNodeCount,
      maxWorkflowBytes: BigInt(limits.maxWorkflowBytes),
      maxOutputBytes: BigInt(limits.maxOutputBytes),
      maxInputPixels: BigInt(limits.maxInputPixels),
    },
    features: { ...features, aiMark: messageAiMarkRule[features.aiMark] },
    workflowRules: {
      allowedNodeClasses: [...workflowPolicy.allowedClasses],
      deniedNodeClasses: [...workflowPolicy.deniedClasses],
      pathsAllowed: workflowPolicy.allowPaths,
    },
    backends: backends.map(({ name, health }) =>
      toBackendInit({ name, comfyUiVersion: health.version, builtIn: health.builtIn }),
    ),
    defaultModel,
  });
}

/** As the rules of the schema have it for `OutputOptions.inline_limit_bytes`. */
const maxInlineLimitBytes = 67_108_864;

const messageAiMarkRule: Readonly<Record<AiMarkPolicy, AiMarkRule>> = {
  on: AiMarkRule.ON,
  off: AiMarkRule.OFF,
  required: AiMarkRule.REQUIRED,
};
