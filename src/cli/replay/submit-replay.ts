import { create } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { z } from "zod";
import { type GenerationSpec, GenerationSpecSchema } from "../../../gen/comfyrpc/v1/generation_pb.js";
import type { JobProvenance } from "../../../gen/comfyrpc/v1/provenance_pb.js";
import { DeliveryError } from "../delivery-error.ts";
import type { JobClient } from "../job-client.ts";
import { RpcError } from "../rpc-error.ts";

/** A job that does again what another one did. */
export interface Replay {
  readonly jobId: string;
  /** Whether it runs the very same graph. */
  readonly isSameGraph: boolean;
}

/**
 * Submits a job that runs the same graph as that of `provenance`: by what was asked for then, or, if that means another
 * graph by now or its template is gone, by the graph itself, as a workflow that reads the same images.
 */
export async function submitReplay(
  client: Pick<JobClient, "submitJob" | "getJobProvenance" | "cancelJob">,
  { jobId, resolvedSpec, graphJson, graphSha256, inputs }: JobProvenance,
  signal: AbortSignal,
): Promise<Replay> {
  if (!resolvedSpec) throw new DeliveryError("the service did not say what was asked for");
  const submit = async (spec: GenerationSpec): Promise<Replay> => {
    const { job } = await client.submitJob({ spec, options: { note: `replay of ${jobId}` } }, signal);
    if (!job) throw new DeliveryError("the service said nothing about the job");
    const { provenance } = await client.getJobProvenance({ jobId: job.jobId }, signal);
    return { jobId: job.jobId, isSameGraph: provenance?.graphSha256 === graphSha256 };
  };
  const { output, template, workflow } = resolvedSpec;
  const replay = await submit({ ...resolvedSpec, allowReuse: false, detach: false }).catch(
    (error: unknown) => {
      const isGone = template && error instanceof RpcError && error.code === status.NOT_FOUND;
      if (!isGone) throw error;
    },
  );
  if (replay?.isSameGraph || (replay && workflow)) return replay;
  if (replay) await client.cancelJob({ jobId: replay.jobId }, signal);
  const images = imagesOf(graphJson, inputs);
  return await submit(
    create(GenerationSpecSchema, { workflow: { json: graphJson, images }, ...(output ? { output } : {}) }),
  );
}

/** The images that the graph reads, by the inputs that name them. */
function imagesOf(graphJson: string, inputs: JobProvenance["inputs"]) {
  const graph = Graph.parse(JSON.parse(graphJson));
  return Object.fromEntries(
    Object.entries(graph).flatMap(([nodeId, node]) =>
      Object.entries(node.inputs).flatMap(([input, value]) => {
        const read = inputs.find(({ fileName }) => fileName === value);
        const source = read && ({ case: "assetId", value: read.assetId } as const);
        return source ? [[`${nodeId}.${input}`, { source }] as const] : [];
      }),
    ),
  );
}

const Graph = z.record(z.string(), z.object({ inputs: z.record(z.string(), z.unknown()) }));
