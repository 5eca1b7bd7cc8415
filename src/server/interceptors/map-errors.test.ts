import { Code, createClient, createRouterTransport } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { ImageService } from "../../../gen/comfyrpc/v1/image_service_pb.js";
import { collectLog } from "../../../test/support/log-lines.ts";
import { failureOf } from "../../../test/support/rpc-failure.ts";
import { mapErrors } from "./map-errors.ts";

/** Has a call fail with `error`. Returns what its caller gets, and what is logged. */
async function failWith(error: Error) {
  const log = collectLog("debug");
  const health = () => Promise.reject(error);
  const transport = createRouterTransport((router) => router.service(ImageService, { health }), {
    router: { interceptors: [mapErrors(log.logger)] },
  });
  return { failure: await failureOf(createClient(ImageService, transport).health({})), text: log.text };
}

describe("an error that nobody expected", () => {
  it("is logged, and says nothing to the caller", async () => {
    const { failure, text } = await failWith(new Error("secret"));
    expect(failure).toMatchObject({ code: Code[Code.Internal], reason: "INTERNAL" });
    expect(failure.message).not.toContain("secret");
    expect(text).toContain("secret");
  });

  it("is no fault of ours if the caller broke off its request", async () => {
    const cutOff = Object.assign(new Error("Premature close"), { code: "ERR_STREAM_PREMATURE_CLOSE" });
    const { failure, text } = await failWith(cutOff);
    expect(failure).toMatchObject({ code: Code[Code.Canceled], reason: "CANCELLED_BY_CALLER" });
    expect(text).toBe("");
  });
});
