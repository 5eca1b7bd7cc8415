import { toBinary, toJson } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { ErrorReason, ErrorReasonSchema, WorkflowFailureSchema } from "../../gen/comfyrpc/v1/error_pb.js";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../../gen/google/rpc/status_pb.js";
import { buildFailure } from "../../test/contract/job-store/job-builders.ts";
import { toRpcFailure } from "../../test/support/rpc-failure.ts";
import { type ErrorReason as DomainReason, ServiceError } from "../domain/errors.ts";
import { errorOfJob, statusDetailTypes, toConnectError, toErrorStatus, toStatusMessage } from "./errors.ts";

/** Reasons of the API with the status that the comment of each begins with. */
const documented = ErrorReasonSchema.values
  .filter(({ number }) => number !== ErrorReason.UNSPECIFIED)
  .map(({ name }) => name.replace("ERROR_REASON_", "") as DomainReason);

const jobId = "0d9a0f6a-7b1c-4e5d-8f00-123456789abc";

describe("toConnectError", () => {
  it.each(documented)("gives %s its name, request id and every detail", (reason) => {
    const failure = toRpcFailure(toConnectError(errorOfJob(jobId, buildFailure(reason)), "call-1"));
    if (reason === "INTERNAL") {
      expect(failure).toMatchObject({
        code: "Internal",
        message: "internal error; the log of the server has more under request id call-1",
        reason,
        metadata: { request_id: "call-1", job_id: jobId },
        fields: [],
        nodes: [],
      });
      return;
    }
    expect(failure).toMatchObject({
      message: `because of ${reason}`,
      reason,
      metadata: { name: "x", request_id: "call-1", job_id: jobId },
      fields: ["spec.steps"],
      nodes: [expect.objectContaining({ nodeId: "3" })],
      retryAfterMs: 1_500,
    });
  });

  it.each<[DomainReason, Code]>([
    ["CANCELLED_BY_REQUEST", Code.Canceled],
    ["STORE_UNAVAILABLE", Code.Unavailable],
    ["REQUEST_ID_REUSED", Code.AlreadyExists],
    ["JOB_NOT_FOUND", Code.NotFound],
    ["BATCH_NOT_FOUND", Code.NotFound],
    ["ASSET_NOT_FOUND", Code.NotFound],
    ["JOB_ACTIVE", Code.FailedPrecondition],
    ["OFFSET_OUT_OF_RANGE", Code.OutOfRange],
    ["ASSET_REJECTED", Code.InvalidArgument],
    ["ASSET_TOO_LARGE", Code.ResourceExhausted],
  ])("makes %s the status that the API documents", (reason, code) => {
    expect(toConnectError(new ServiceError(reason, "m"), "").code).toBe(code);
  });

  it.each<DomainReason>(["PROMPT_LOST", "PROMPT_INTERRUPTED", "PROMPT_LEFT", "LEASE_LOST"])(
    "calls %s BACKEND_LOST",
    (reason) => {
      const failure = toRpcFailure(toConnectError(new ServiceError(reason, "m"), ""));
      expect(failure).toMatchObject({ code: "Unavailable", reason: "BACKEND_LOST" });
    },
  );

  it("says nothing of what it does not know", () => {
    const error = toConnectError(new Error("ENOENT /var/secret"), "call-1");
    const failure = toRpcFailure(error);
    expect(failure).toMatchObject({
      code: "Internal",
      reason: "INTERNAL",
      metadata: { request_id: "call-1" },
    });
    expect(failure.everything).not.toContain("secret");
  });

  it("leaves a status of the RPC library as it is", () => {
    const error = new ConnectError("too large", Code.ResourceExhausted);
    expect(toConnectError(error, "")).toBe(error);
  });

  it("stays small enough for the trailers of a gRPC client, however much is wrong", () => {
    const violations = Array.from({ length: 1_000 }, (_, i) => ({
      field: `specs.specs[${i}].prompt`,
      description: "must contain something other than white space",
    }));
    const nodes = violations.map(({ field }) => ({
      nodeId: field,
      classType: "KSampler",
      errorType: "value_not_in_list",
      message: "m".repeat(500),
    }));
    const error = toConnectError(new ServiceError("INVALID_FIELD", "m", { violations, nodes }), "");
    const [bad] = error.findDetails(BadRequestSchema);
    const [workflow] = error.findDetails(WorkflowFailureSchema);
    expect(bad?.fieldViolations.length).toBeGreaterThan(20);
    expect(bad && toBinary(BadRequestSchema, bad).length).toBeLessThan(4_000);
    expect(workflow?.nodes.length).toBeGreaterThan(2);
    expect(workflow && toBinary(WorkflowFailureSchema, workflow).length).toBeLessThan(4_000);
  });
});

describe("toStatusMessage", () => {
  it("shortens texts with names that are far too long", () => {
    const name = "x".repeat(1_000_000);
    const error = new ServiceError("WORKFLOW_INVALID", `${name}: no`, {
      violations: [{ field: name, description: name }],
      nodes: [
        {
          nodeId: "1",
          classType: "X",
          inputName: name,
          title: name,
          errorType: "unknown_input",
          message: name,
        },
      ],
    });
    const status = toErrorStatus(error);
    expect(status.message).toBe(`${"x".repeat(1_023)}…`);
    expect(toBinary(StatusSchema, status).length).toBeLessThan(7_000);
  });

  it("has the details of the call's status, and the job in place of the request", () => {
    const status = toStatusMessage(buildFailure("NODE_FAILED"), jobId);
    expect(status).toMatchObject({ code: Code.FailedPrecondition, message: "because of NODE_FAILED" });
    expect(status.details.map(({ typeUrl }) => typeUrl.replace(/^.*\//, ""))).toEqual([
      "google.rpc.ErrorInfo",
      "google.rpc.BadRequest",
      "comfyrpc.v1.WorkflowFailure",
      "google.rpc.RetryInfo",
    ]);
    const [info] = status.details;
    expect(info && anyUnpack(info, ErrorInfoSchema)).toMatchObject({
      reason: "NODE_FAILED",
      domain: "comfyrpc",
      metadata: { name: "x", job_id: jobId },
    });
  });

  it("can be written in JSON", () => {
    const status = toStatusMessage(buildFailure("JOB_TIMEOUT"), jobId);
    expect(toJson(StatusSchema, status, { registry: statusDetailTypes })).toMatchObject({
      details: [{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: "JOB_TIMEOUT" }, {}, {}, {}],
    });
  });

  it("says nothing of a fault but where to look", () => {
    const failure = { ...buildFailure("INTERNAL"), message: "ENOENT /var/secret" };
    expect(toStatusMessage(failure, jobId).message).toBe(
      `internal error; the log of the server has more under job id ${jobId}`,
    );
  });
});
