import { create } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { type GenerationSpec, GenerationSpecSchema } from "../../../gen/comfyrpc/v1/generation_pb.js";
import {
  CancelJobResponseSchema,
  GetJobProvenanceResponseSchema,
  SubmitJobResponseSchema,
} from "../../../gen/comfyrpc/v1/job_service_pb.js";
import { JobProvenanceSchema } from "../../../gen/comfyrpc/v1/provenance_pb.js";
import type { JobClient } from "../job-client.ts";
import { RpcError } from "../rpc-error.ts";
import { submitReplay } from "./submit-replay.ts";

const never = new AbortController().signal;
const fileName = `comfyrpc/${"a".repeat(64)}.png`;
const graphJson = `{"1":{"class_type":"LoadImage","inputs":{"image":"${fileName}"}},"2":{"class_type":"KSampler","inputs":{"seed":18446744073709551615,"model":["1",0]}}}`;

describe("submitReplay", () => {
  it("asks for the same again, and for nothing that was drawn before", async () => {
    const { client, specs, cancelled } = fakeClient(["same"]);
    const replay = await submitReplay(client, provenanceOf({ prompt: "a fox", allowReuse: true }), never);
    expect(replay).toEqual({ jobId: "job-1", isSameGraph: true });
    expect(specs).toMatchObject([{ prompt: "a fox", allowReuse: false }]);
    expect(cancelled).toEqual([]);
  });

  it("submits the graph itself, with its images, where the same request means another one by now", async () => {
    const { client, specs, cancelled } = fakeClient(["other", "same"]);
    const replay = await submitReplay(client, provenanceOf({ prompt: "a fox" }), never);
    expect(replay).toEqual({ jobId: "job-2", isSameGraph: true });
    expect(cancelled).toEqual(["job-1"]);
    expect(specs[1]?.workflow?.json).toBe(graphJson);
    expect(specs[1]?.workflow?.images).toMatchObject({
      "1.image": { source: { case: "assetId", value: "a".repeat(64) } },
    });
    expect(specs[1]).toMatchObject({ prompt: "", output: { quality: 80 } });
  });

  it("submits the graph of a template that is gone", async () => {
    const gone = new RpcError(status.NOT_FOUND, "no such template");
    const { client, specs } = fakeClient([gone, "same"]);
    const replay = await submitReplay(client, provenanceOf({ template: { name: "t" } }), never);
    expect(replay).toMatchObject({ isSameGraph: true });
    expect(specs[1]?.workflow?.json).toBe(graphJson);
    await expect(submitReplay(fakeClient([gone]).client, provenanceOf({ prompt: "p" }), never)).rejects.toBe(
      gone,
    );
  });
});

type SpecFields = Exclude<Parameters<typeof create<typeof GenerationSpecSchema>>[1], GenerationSpec>;

function provenanceOf(spec: SpecFields) {
  return create(JobProvenanceSchema, {
    jobId: "job-0",
    resolvedSpec: { output: { quality: 80 }, ...spec },
    graphJson,
    graphSha256: "same",
    inputs: [{ assetId: "a".repeat(64), fileName }],
  });
}

/** A service whose jobs have these graphs, one after the other, or fail. */
function fakeClient(graphs: readonly (string | Error)[]) {
  const specs: GenerationSpec[] = [];
  const cancelled: string[] = [];
  const client: Pick<JobClient, "submitJob" | "getJobProvenance" | "cancelJob"> = {
    async submitJob({ spec }) {
      specs.push(create(GenerationSpecSchema, spec));
      const graph = graphs[specs.length - 1];
      if (graph instanceof Error) throw graph;
      return create(SubmitJobResponseSchema, { job: { jobId: `job-${specs.length}` } });
    },
    async getJobProvenance() {
      const graph = graphs[specs.length - 1];
      return create(GetJobProvenanceResponseSchema, { provenance: { graphSha256: `${graph}` } });
    },
    async cancelJob({ jobId = "" }) {
      cancelled.push(jobId);
      return create(CancelJobResponseSchema);
    },
  };
  return { client, specs, cancelled };
}
