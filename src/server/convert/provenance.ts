import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { ModelKind } from "../../../gen/comfyrpc/v1/catalog_pb.js";
import { type JobProvenance, JobProvenanceSchema } from "../../../gen/comfyrpc/v1/provenance_pb.js";
import { hashGraph } from "../../domain/graph-hash.ts";
import { modelsOfGraph } from "../../domain/graph-models.ts";
import type { JobRecord } from "../../domain/job-record.ts";
import { writeJson } from "../../lib/lossless-json.ts";
import { messageModelKind } from "./catalog.ts";
import { messageState } from "./job.ts";
import { toOutputInit } from "./output.ts";
import { toImageInit, toResultMessage } from "./result.ts";
import { toSpecMessage } from "./spec.ts";

/** Writes how a job came to what it made, as far as is known by now. */
export function toProvenanceMessage(job: JobRecord): JobProvenance {
  const { plan, attempt, startTime, endTime } = job;
  const result = job.result && toResultMessage(job.id, job.result);
  return create(JobProvenanceSchema, {
    jobId: job.id,
    state: messageState[job.state],
    resolvedSpec: toSpecMessage(job.generation),
    graphJson: writeJson(plan.graph),
    graphSha256: hashGraph(plan.graph),
    models: modelsOfGraph(plan.graph).map(({ kind, ...use }) => ({
      ...use,
      kind: kind === undefined ? ModelKind.UNSPECIFIED : messageModelKind[kind],
    })),
    inputs: plan.inputs.map((input) => ({ ...input })),
    ...(result?.backend && { backend: result.backend }),
    serviceVersion: job.result?.serviceVersion ?? "",
    attemptCount: result?.attemptCount ?? attempt?.number ?? 0,
    createTime: timestampFromDate(job.createTime),
    ...(startTime && { startTime: timestampFromDate(startTime) }),
    ...(endTime && { endTime: timestampFromDate(endTime) }),
    ...(result?.timings && { timings: result.timings }),
    nodes: result?.nodes ?? [],
    images: (job.result?.images ?? job.images).map(toImageInit),
    outputs: (job.result?.outputs ?? job.outputs).map(toOutputInit),
    reusedJobId: result?.reusedJobId ?? "",
  });
}
