import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { NoAnswerError } from "./client.ts";
import { follow, promptId, setUp, story, success, types, unanswered } from "./testing/prompt-run-stage.ts";

describe("PromptRun left", () => {
  it("does nothing at all if it was left before, whatever else is wanted", async () => {
    const { client, stop, leave, run } = setUp();
    stop.abort();
    leave.abort();
    expect(await follow(run)).toMatchObject({ reason: "PROMPT_LEFT", events: [] });
    expect(client.calls).toEqual([]);
  });

  it("submits nothing if it is left while it waits for a connection", async () => {
    const { client, socket, leave, run } = setUp();
    socket.settled = async (signal) => {
      leave.abort();
      expect(signal.aborted).toBe(true); // so that the connection is not waited for
    };
    expect((await follow(run)).reason).toBe("PROMPT_LEFT");
    expect(client.calls).toEqual([]);
  });

  it.each(["pending", "running"] as const)("leaves a prompt as it is (%s)", async (state) => {
    const { client, socket, leave, told, run } = setUp({ pollIntervalMs: 60_000 });
    const outcome = await follow(run, () => {
      client.state = state;
      leave.abort();
    });
    expect(outcome.reason).toBe("PROMPT_LEFT");
    expect(client.calls).toEqual(["submit"]);
    expect(client.state).toBe(state);
    expect(socket.listener).toBeUndefined();
    expect(told).toEqual({ abandoned: [], stalled: 0 });
  });

  it("leaves a prompt of which it knows that it has ended, and not where what it left is", async () => {
    const { client, socket, leave, run } = setUp();
    client.record = async (id, signal) => {
      setImmediate(() => leave.abort());
      return await unanswered(id, signal);
    };
    const outcome = await follow(run, () => socket.say(...story, { type: "closed", promptId }));
    expect(outcome.reason).toBe("PROMPT_LEFT");
  });

  it("does not wait for an answer about the prompt", async () => {
    const { client, leave, told, run } = setUp();
    client.job = async (id?: string, signal?: AbortSignal) => {
      setImmediate(() => leave.abort());
      return await unanswered(id, signal);
    };
    expect((await follow(run)).reason).toBe("PROMPT_LEFT");
    expect(told.abandoned).toEqual([]);
  });

  it("breaks off a cancel that cannot be proved", async () => {
    const { client, stop, leave, told, run } = setUp();
    client.onCancel = () => leave.abort();
    expect((await follow(run, () => stop.abort())).reason).toBe("PROMPT_LEFT");
    expect(client.state).toBe("pending");
    expect(told.abandoned).toEqual([]);
  });

  it("is not cancelled any more once it is left, not even by leaving the loop", async () => {
    const { client, stop, leave, run } = setUp();
    for await (const _submitted of run.events()) {
      leave.abort();
      stop.abort();
      break;
    }
    expect(client.calls).toEqual(["submit"]);
    expect(client.state).toBe("pending");
  });

  it("has no effect on a run whose end is on its way", async () => {
    const { client, leave, run } = setUp();
    client.promptRecord = success;
    client.onLookUp = () => {
      client.state = "ended";
    };
    const outcome = await follow(run, ({ type }) => {
      if (type === "finished") {
        leave.abort();
      }
    });
    expect(types(outcome).at(-1)).toBe("finished");
    expect(outcome.reason).toBeUndefined();
  });
});

describe("PromptRun left while it submits", () => {
  it("waits for the answer, so that it can tell that the prompt is there", async () => {
    const { client, leave, told, run } = setUp();
    const accept = client.onSubmit;
    client.onSubmit = async (submission) => {
      leave.abort();
      await new Promise(setImmediate);
      return accept(submission);
    };
    expect(await follow(run)).toMatchObject({ reason: "PROMPT_LEFT", events: [{ type: "submitted" }] });
    expect(client.calls).toEqual(["submit"]);
    expect(told.abandoned).toEqual([]);
  });

  it.each([
    ["is an error", () => ({ status: 500, body: undefined })],
    ["is a refusal", () => ({ status: 400, body: undefined })],
    ["is for a part of it", () => ({ status: 200, body: { prompt_id: promptId, node_errors: { 9: {} } } })],
    ["does not come", () => Promise.reject(new NoAnswerError("reset", { sent: true }))],
    ["cannot come", () => Promise.reject(new NoAnswerError("refused", { sent: false }))],
  ])("asks for nothing more if the answer %s", async (_what, answer) => {
    const { client, leave, told, run } = setUp();
    client.onSubmit = () => {
      leave.abort();
      return answer();
    };
    expect((await follow(run)).reason).toBe("PROMPT_LEFT");
    expect(client.calls).toEqual(["submit"]);
    expect(told.abandoned).toEqual([]);
  });

  it("does not wait long for an answer, and neither looks for the prompt nor cancels it", async () => {
    const { client, leave, told, run } = setUp();
    client.submit = async (_submission, signal) => {
      client.calls.push("submit");
      leave.abort();
      expect(signal.aborted).toBe(false); // what is being sent is not cut off
      await once(signal, "abort");
      throw signal.reason;
    };
    expect(await follow(run)).toMatchObject({ reason: "PROMPT_LEFT", events: [] });
    expect(client.calls).toEqual(["submit"]);
    expect(told.abandoned).toEqual([]);
  });

  it("has a prompt cancelled that the server queued under another id, by which nobody can find it", async () => {
    const { client, leave, told, run } = setUp();
    client.onSubmit = () => {
      leave.abort();
      return { status: 200, body: { prompt_id: "another", node_errors: {} } };
    };
    expect((await follow(run)).reason).toBe("PROMPT_LEFT");
    expect(told.abandoned).toEqual(["another"]);
  });
});

describe("PromptRun whose caller may not submit any more", () => {
  it("sends nothing, and leaves", async () => {
    const { client, socket, told, run } = setUp({}, { maySubmit: () => false });
    expect(await follow(run)).toMatchObject({ reason: "PROMPT_LEFT", events: [] });
    expect(client.calls).toEqual([]);
    expect(socket.registrations).toBe(0);
    expect(told.abandoned).toEqual([]);
  });

  it("is asked when the connection is there, right before the prompt is sent", async () => {
    const order: string[] = [];
    const { client, socket, run } = setUp({}, { maySubmit: () => order.push("asked") > 0 });
    client.promptRecord = success;
    socket.settled = async () => void order.push("settled");
    const accept = client.onSubmit;
    client.onSubmit = (submission) => {
      order.push("sent");
      return accept(submission);
    };
    await follow(run, () => socket.say(...story, { type: "closed", promptId }));
    expect(order).toEqual(["settled", "asked", "sent"]);
  });

  it("is asked again before the prompt is sent once more", async () => {
    const answers = [true, false];
    const { client, told, run } = setUp({}, { maySubmit: () => answers.shift() ?? false });
    client.onSubmit = () => ({ status: 502, body: undefined });
    expect((await follow(run)).reason).toBe("PROMPT_LEFT");
    expect(client.calls).toEqual(["submit", "job", "job"]);
    expect(told.abandoned).toEqual([]);
  });
});
