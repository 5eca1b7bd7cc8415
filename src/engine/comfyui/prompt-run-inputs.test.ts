import { describe, expect, it } from "vitest";
import { ServiceError } from "../../domain/errors.ts";
import { inOnePiece } from "../../lib/in-one-piece.ts";
import type { InputFile } from "../engine.ts";
import { NoAnswerError } from "./client.ts";
import { follow, promptId, setUp, story, success, unanswered } from "./testing/prompt-run-stage.ts";

const data = Buffer.from("bytes");

function input(open: InputFile["open"] = () => inOnePiece(data)): InputFile {
  return { fileName: "comfyrpc/a.png", sizeBytes: data.length, mediaType: "image/png", open };
}

describe("PromptRun with inputs", () => {
  it("uploads them before it submits", async () => {
    const { client, run, socket } = setUp({}, { inputs: [input()] });
    client.promptRecord = success;
    const outcome = await follow(run, () => socket.say(...story, { type: "closed", promptId }));
    expect(outcome.reason).toBeUndefined();
    expect(client.calls.slice(0, 2)).toEqual(["upload", "submit"]);
    expect(client.inputs.get("comfyrpc/a.png")).toEqual(data);
  });

  it("submits nothing, and leaves nothing behind, if one cannot be uploaded", async () => {
    const { client, told, run } = setUp({}, { inputs: [input()] });
    client.onUpload = async () => ({ status: 413, body: undefined });
    expect((await follow(run)).reason).toBe("INPUT_REJECTED");
    expect(client.calls).toEqual(["upload"]);
    expect(told.abandoned).toEqual([]);
  });

  it("counts as not submitted if the backend cannot be reached", async () => {
    const { client, run } = setUp({}, { inputs: [input()] });
    client.onUpload = async () => {
      throw new NoAnswerError("refused", { sent: false });
    };
    expect((await follow(run)).reason).toBe("NO_BACKEND");
    expect(client.calls).toEqual(["upload"]);
  });

  it("ends by what its bytes fail with", async () => {
    const failing = input(() => {
      throw new ServiceError("ASSET_NOT_FOUND", "gone");
    });
    const { client, run } = setUp({}, { inputs: [failing] });
    expect((await follow(run)).reason).toBe("ASSET_NOT_FOUND");
    expect(client.calls).toEqual([]);
  });

  it.each(["stop", "leave"] as const)("breaks an upload off for a %s", async (how) => {
    const stage = setUp({}, { inputs: [input()] });
    stage.client.inputSize = async (_place, signal) => {
      setImmediate(() => stage[how].abort());
      return await unanswered("", signal);
    };
    expect((await follow(stage.run)).reason).toBe(how === "stop" ? "CANCELLED_BY_CALLER" : "PROMPT_LEFT");
    expect(stage.client.calls).toEqual([]);
  });

  it("uploads nothing for a prompt that it goes on with", async () => {
    const { client, run } = setUp({}, { inputs: [input()], resume: true });
    expect((await follow(run)).reason).toBe("PROMPT_LOST");
    expect(client.calls).not.toContain("upload");
  });
});
