import type { AssetServiceOptions } from "../assets/asset-service.ts";
import type { InputImagesOptions } from "../assets/input-images.ts";
import type { CatalogServiceOptions } from "../catalog/catalog-service.ts";
import type { Config } from "../config/config.ts";
import { defaultInlineLimitBytes } from "../domain/resolve/resolve-output.ts";
import type { WorkflowLimits } from "../domain/workflow/parse-workflow.ts";
import type { WorkflowPolicy } from "../domain/workflow/policy.ts";
import type { FetchLimits } from "../fetching/url-fetcher.ts";
import type { JobsOptions } from "../jobs/start-jobs.ts";
import type { ServerFacts } from "../server/convert/server-info.ts";
import type { ListenerOptions } from "../server/listener/listener-options.ts";
import { version } from "../version.ts";

/** What `config` says about jobs. `owner` is unique for this process. */
export function jobsOptions(config: Config, owner: string): JobsOptions {
  const leaseMs = config.leaseSeconds * 1_000;
  return {
    owner,
    maxInFlight: config.comfyUiMaxInFlight,
    leaseMs,
    // Long enough for whoever has the backend in its configuration to take its lease first.
    undrivenMs: Math.max(3 * leaseMs, config.comfyUiLostSeconds * 1_000),
    maxQueued: config.maxQueued,
    maxQueueMs: config.maxQueueSeconds * 1_000,
    maxRunMs: config.maxRunSeconds * 1_000,
    backendDownGraceMs: config.comfyUiLostSeconds * 1_000,
    maxAttempts: 3,
    maxOutputBytes: config.maxOutputBytes,
    serviceVersion: version,
    limits: {
      maxPixels: config.maxPixels,
      maxUpscaledPixels: config.maxUpscaledPixels,
      maxSteps: config.maxSteps,
      maxImageCount: config.maxImages,
    },
    defaultModel: config.defaultModel,
    aiMark: config.aiMark,
    logPrompts: config.logPrompts,
    workflowLimits: workflowLimits(config),
    workflowPolicy: workflowPolicy(config),
    // An unknown name asks anew at once, so that only removed files are noticed late.
    catalogMaxAgeMs: 600_000,
    retentionMs: config.retentionSeconds * 1_000,
    maxRetentionMs: config.maxRetentionSeconds * 1_000,
    reconnectGraceMs: config.reconnectSeconds * 1_000,
    batchLimit: config.maxBatch,
    watchIntervalMs: 1_000,
    cleanIntervalMs: 60_000,
  };
}

/** What `config` says about the size of workflows. */
export function workflowLimits(config: Config): WorkflowLimits {
  return { maxBytes: maxWorkflowBytes, maxNodes: config.maxWorkflowNodes };
}

/** What `config` lets workflows of callers use. */
function workflowPolicy(config: Config): WorkflowPolicy {
  return {
    allowedClasses: config.allowedNodes,
    deniedClasses: config.deniedNodes,
    allowPaths: config.allowNodePaths,
  };
}

/** What the schema allows. Templates may not get around it by the values of their parameters. */
const maxWorkflowBytes = 4_194_304;

/** What `config` says about assets. */
export function assetOptions(config: Config): AssetServiceOptions {
  return {
    maxUploadBytes: config.maxUploadBytes,
    maxUploadPixels: config.maxUploadPixels,
    retentionMs: config.retentionSeconds * 1_000,
    maxRetentionMs: config.maxRetentionSeconds * 1_000,
    directLinks: config.s3DirectLinks,
    ...(config.publicUrl !== undefined && { publicUrl: config.publicUrl }),
  };
}

/** What `config` says about images that jobs read: an upload, or the largest picture that a job makes. */
export function inputImageOptions(config: Config): InputImagesOptions {
  return { maxPixels: Math.max(config.maxUploadPixels, config.maxUpscaledPixels, config.maxPixels) };
}

/** How fresh the answers about what backends have are. */
export const catalogOptions: CatalogServiceOptions = {
  catalogMaxAgeMs: 60_000,
  // Megabytes, which hold up a busy backend for a moment; they change when it is started anew, which is noticed.
  nodeClassesMaxAgeMs: 300_000,
};

/** What `config` says to callers about the service. */
export function serverFacts(config: Config, version: string): ServerFacts {
  return {
    version,
    defaultModel: config.defaultModel,
    limits: {
      maxPixels: config.maxPixels,
      maxSteps: config.maxSteps,
      maxImageCount: config.maxImages,
      maxBatchJobCount: config.maxBatch,
      maxUploadBytes: config.maxUploadBytes,
      maxUploadPixels: config.maxUploadPixels,
      maxRequestBytes: config.maxRequestBytes,
      defaultInlineLimitBytes,
      defaultRetentionMs: config.retentionSeconds * 1_000,
      maxRetentionMs: config.maxRetentionSeconds * 1_000,
      maxQueuedJobCount: config.maxQueued,
      maxQueueMs: config.maxQueueSeconds * 1_000,
      maxRunMs: config.maxRunSeconds * 1_000,
      reconnectGraceMs: config.reconnectSeconds * 1_000,
      maxUpscaledPixels: config.maxUpscaledPixels,
      maxWorkflowNodeCount: config.maxWorkflowNodes,
      maxWorkflowBytes,
      maxOutputBytes: config.maxOutputBytes,
      maxInputPixels: inputImageOptions(config).maxPixels,
    },
    features: {
      signedLinksOnly: config.signedLinksOnly,
      directLinks: config.s3DirectLinks,
      urlInputs: config.urlInputs,
      urlInputsOverHttp: config.urlInputs && config.urlInputsAllowHttp,
      aiMark: config.aiMark,
    },
    workflowPolicy: workflowPolicy(config),
  };
}

/** What `config` says about fetching images by their URL; `undefined` if that is off. */
export function fetchLimits(config: Config): FetchLimits | undefined {
  return config.urlInputs
    ? {
        allowHttp: config.urlInputsAllowHttp,
        hosts: config.urlInputsHosts,
        timeoutMs: config.urlInputsTimeoutSeconds * 1_000,
        maxRedirects: config.urlInputsMaxRedirects,
      }
    : undefined;
}

/** What `config` says about the port and the connections to it. */
export function listenerOptions(config: Config): Omit<ListenerOptions, "handler" | "shutdown" | "logger"> {
  const { tls } = config.files;
  return {
    host: config.host,
    port: config.port,
    ...(tls && { tls: { certificate: tls.cert, privateKey: tls.key } }),
    maxHeaderBytes: config.maxHeaderBytes,
    maxConcurrentStreams: config.maxStreamsPerConnection,
    stalledStreamTimeoutMs: config.stalledStreamSeconds * 1_000,
    pingIntervalMs: config.pingSeconds * 1_000,
    maxSessionAgeMs: config.maxConnectionAgeSeconds * 1_000,
  };
}
