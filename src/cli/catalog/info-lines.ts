import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";
import {
  AiMarkRule,
  type ServerInfo,
  type ServerLimits,
  type WorkflowRules,
} from "../../../gen/comfyrpc/v1/server_info_pb.js";
import { formatBytes } from "../format-bytes.ts";
import { formatSeconds } from "../format-duration.ts";
import { plainText } from "../plain-text.ts";
import { tableLines } from "../table.ts";

/** What a service is and allows, for people: a line for each thing, after its name. */
export function infoLines({
  version,
  apiVersion,
  backends,
  defaultModel,
  limits,
  features,
  workflowRules,
}: ServerInfo): string[] {
  const facts: (readonly [name: string, text: string])[] = [
    ["version", `${version}, API ${apiVersion}`],
    ...backends.map(
      ({ name, comfyuiVersion, builtIn }) =>
        [
          "backend",
          `${name}, ${builtIn ? "built-in engine" : comfyuiVersion === "" ? "not reached yet" : `ComfyUI ${comfyuiVersion}`}`,
        ] as const,
    ),
    ["default model", defaultModel || "the first that the backends list"],
    ...(limits ? limitFacts(limits) : []),
    ["links", features?.signedLinksOnly ? "only signed ones" : "signed ones, and plain ones"],
    [
      "images by URL",
      features?.urlInputs ? (features.urlInputsOverHttp ? "https and http" : "https") : "off",
    ],
    ["mark of AI", aiMarkTexts[features?.aiMark ?? AiMarkRule.UNSPECIFIED]],
    ...(workflowRules ? ruleFacts(workflowRules) : []),
  ];
  return tableLines(facts.map((fact) => fact.map(plainText)));
}

const aiMarkTexts: Readonly<Record<AiMarkRule, string>> = {
  [AiMarkRule.UNSPECIFIED]: "?",
  [AiMarkRule.ON]: "unless asked otherwise",
  [AiMarkRule.OFF]: "only if asked for",
  [AiMarkRule.REQUIRED]: "always",
};

function ruleFacts(rules: WorkflowRules): (readonly [name: string, text: string])[] {
  const { allowedNodeClasses: allowed, deniedNodeClasses: denied, pathsAllowed } = rules;
  return [
    ["allowed nodes", allowed.length === 0 ? "all that are not denied" : allowed.join(", ")],
    ["denied nodes", denied.length === 0 ? "none" : denied.join(", ")],
    ["node files", pathsAllowed ? "anywhere" : "in the directories of the backend"],
  ];
}

function limitFacts(limits: ServerLimits): (readonly [name: string, text: string])[] {
  return [
    ["picture", `up to ${limits.maxPixels} pixels, ${limits.maxSteps} steps`],
    ["enlarged", `up to ${limits.maxUpscaledPixels} pixels`],
    ["workflow", `up to ${limits.maxWorkflowNodeCount} nodes, ${formatBytes(limits.maxWorkflowBytes)}`],
    ["its outputs", `up to ${formatBytes(limits.maxOutputBytes)} each`],
    ["input image", `up to ${limits.maxInputPixels} pixels`],
    ["request", `up to ${limits.maxImageCount} images, ${formatBytes(limits.maxRequestBytes)}`],
    ["batch", `up to ${limits.maxBatchJobCount} jobs`],
    ["upload", `up to ${formatBytes(limits.maxUploadBytes)}, ${limits.maxUploadPixels} pixels`],
    [
      "inline images",
      `${bytes(limits.defaultInlineLimitBytes)}, on request up to ${bytes(limits.maxInlineLimitBytes)}`,
    ],
    ["kept for", `${time(limits.defaultRetention)}, on request up to ${time(limits.maxRetention)}`],
    ["queue", `up to ${limits.maxQueuedJobCount} jobs, ${time(limits.maxQueueTime)}`],
    ["run", `up to ${time(limits.maxRunTime)}`],
  ];
}

function bytes(count: number): string {
  return formatBytes(BigInt(count));
}

function time(duration: Duration | undefined): string {
  return duration === undefined ? "?" : formatSeconds(durationMs(duration));
}
