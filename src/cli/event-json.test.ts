import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { expect, it } from "vitest";
import { WorkflowFailureSchema } from "../../gen/comfyrpc/v1/error_pb.js";
import { JobSchema } from "../../gen/comfyrpc/v1/job_pb.js";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { jsonLine } from "./event-json.ts";

it("writes the details of a status, and leaves out those of a kind that it does not know", () => {
  const details = [
    anyPack(ErrorInfoSchema, create(ErrorInfoSchema, { reason: "NODE_FAILED" })),
    { typeUrl: "type.googleapis.com/comfyrpc.v9.Later", value: new Uint8Array([8, 1]) },
    anyPack(WorkflowFailureSchema, create(WorkflowFailureSchema, { nodes: [{ nodeId: "3" }] })),
  ];
  const job = create(JobSchema, { error: { code: 9, message: "no", details } });
  const json: unknown = JSON.parse(jsonLine(JobSchema, job));
  expect(json).toMatchObject({
    error: { details: [{ reason: "NODE_FAILED" }, { nodes: [{ nodeId: "3" }] }] },
  });
  expect(job.error?.details).toHaveLength(3);
});
