import { durationMs } from "@bufbuild/protobuf/wkt";
import { ModelKind } from "../../../gen/comfyrpc/v1/catalog_pb.js";
import type { JobProvenance } from "../../../gen/comfyrpc/v1/provenance_pb.js";
import { formatDuration } from "../format-duration.ts";
import { formatTime } from "../format-time.ts";
import { plainText } from "../plain-text.ts";
import { nameOfState } from "./job-states.ts";

/** What is known of how a job came to what it made, but for the graph itself: a line for each thing. */
export function provenanceDetails(provenance: JobProvenance, now: Date): string[] {
  const { backend, createTime, endTime, timings, attemptCount } = provenance;
  const facts: (readonly [name: string, text: string])[] = [
    ["job", provenance.jobId],
    ["state", nameOfState(provenance.state)],
    ["graph", provenance.graphSha256],
    ...provenance.models.map(
      ({ kind, name, nodeId, input }) => [nameOfKind(kind), `${name}, node ${nodeId}, ${input}`] as const,
    ),
    ...provenance.inputs.map(({ assetId }) => ["input", assetId] as const),
    ["backend", backend ? `${backend.name}, ComfyUI ${backend.comfyuiVersion || "of unknown version"}` : ""],
    ["service", provenance.serviceVersion],
    ["attempts", attemptCount > 1 ? `${attemptCount}` : ""],
    ["created", createTime ? formatTime(createTime, now) : ""],
    ["ended", endTime ? formatTime(endTime, now) : ""],
    ["ran for", timings?.execution ? formatDuration(durationMs(timings.execution)) : ""],
    ["reused", provenance.reusedJobId],
    ...provenance.images.map(({ index, sha256 }) => [`image ${index + 1}`, sha256] as const),
    ...provenance.outputs.map(({ index, sha256 }) => [`output ${index + 1}`, sha256] as const),
  ];
  return facts
    .map(([name, text]) => [name, plainText(text)] as const)
    .filter(([, text]) => text !== "")
    .map(([name, text]) => `${name.padEnd(nameWidth)}  ${text}`);
}

const nameWidth = "diffusion model".length;

/** `text encoder` for `TEXT_ENCODER`; `model` for a kind that is not known. */
function nameOfKind(kind: ModelKind): string {
  const name = kind === ModelKind.UNSPECIFIED ? undefined : ModelKind[kind];
  return name?.toLowerCase().replaceAll("_", " ") ?? "model";
}
