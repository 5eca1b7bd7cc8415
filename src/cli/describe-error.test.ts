import { create } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { NodeFailureSchema } from "../../gen/comfyrpc/v1/error_pb.js";
import { BadRequest_FieldViolationSchema } from "../../gen/google/rpc/error_details_pb.js";
import { errorJson, errorLines } from "./describe-error.ts";
import { RpcError, type RpcErrorDetails } from "./rpc-error.ts";

const context = { serverName: "127.0.0.1:8080", hasAnswered: false };

function rpcError(code: status, message: string, details: Partial<RpcErrorDetails>): RpcError {
  const none = { reason: undefined, domain: "comfyrpc", retryAfterMs: undefined };
  return new RpcError(code, message, { ...none, metadata: {}, violations: [], nodes: [], ...details });
}

describe("errorLines", () => {
  it("names each field that is wrong, and its option", () => {
    const violations = [
      { field: "spec.width_px", description: "must be a multiple of 8" },
      { field: "spec.prompt", description: "must not be empty" },
    ].map((violation) => create(BadRequest_FieldViolationSchema, violation));
    const error = rpcError(status.INVALID_ARGUMENT, "2 fields", { reason: "INVALID_FIELD", violations });
    expect(errorLines(error, context)).toEqual([
      "error: INVALID_FIELD: 2 fields",
      "  spec.width_px (--width): must be a multiple of 8",
      "  spec.prompt: must not be empty",
    ]);
  });

  it("tells once what the text only repeats of the fields", () => {
    const violation = { field: "spec.cfg", description: "at most 30" };
    const other = { field: "spec.steps", description: "at most 150" };
    const lines = (message: string, ...wrong: (typeof violation)[]) => {
      const violations = wrong.map((one) => create(BadRequest_FieldViolationSchema, one));
      return errorLines(
        rpcError(status.INVALID_ARGUMENT, message, { reason: "INVALID_FIELD", violations }),
        context,
      );
    };
    expect(lines("spec.cfg: at most 30", violation)).toEqual([
      "error: INVALID_FIELD: spec.cfg (--cfg): at most 30",
    ]);
    expect(lines("spec.cfg: at most 30 (and 1 more)", violation, other)).toEqual([
      "error: INVALID_FIELD",
      "  spec.cfg (--cfg): at most 30",
      "  spec.steps (--steps): at most 150",
    ]);
  });

  it("names each node that failed, and when to try again", () => {
    const node = {
      nodeId: "3",
      classType: "KSampler",
      title: "Sample",
      errorType: "oom",
      inputName: "steps",
    };
    const nodes = [create(NodeFailureSchema, { ...node, message: "no\nmemory" })];
    const error = rpcError(status.RESOURCE_EXHAUSTED, "full", { nodes, retryAfterMs: 61_000 });
    expect(errorLines(error, context)).toEqual([
      "error: RESOURCE_EXHAUSTED: full",
      '  node 3 "Sample" (KSampler), input steps: no memory [oom]',
      "  try again in 1m01s",
    ]);
  });

  it("tells a service that was never there from one that went away", () => {
    const message =
      "No connection established. Last error: Error: connect ECONNREFUSED 127.0.0.1:8080. Resolution note: ";
    const error = new RpcError(status.UNAVAILABLE, message);
    expect(errorLines(error, context)).toEqual([
      "error: cannot reach the service at 127.0.0.1:8080; start it with `comfyrpc serve`",
      "  connect ECONNREFUSED 127.0.0.1:8080",
    ]);
    expect(errorLines(error, { ...context, hasAnswered: true })[0]).toMatch(/lost the connection/);
  });

  it("lets no control character of the service reach the terminal", () => {
    const error = rpcError(status.INTERNAL, "\u001b[31mred\u0007", {});
    expect(errorLines(error, context)).toEqual(["error: INTERNAL: [31mred"]);
  });
});

describe("errorJson", () => {
  it("has what is known and nothing that is empty", () => {
    expect(
      errorJson(rpcError(status.UNAVAILABLE, "none up", { reason: "NO_BACKEND", retryAfterMs: 5 })),
    ).toEqual({
      code: "UNAVAILABLE",
      reason: "NO_BACKEND",
      message: "none up",
      retryAfterMs: 5,
    });
    expect(errorJson(new Error("disk full"))).toEqual({ message: "disk full" });
  });
});
