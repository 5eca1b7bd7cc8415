import { describe, expect, it } from "vitest";
import type { ComfyUiEngineOptions } from "./options.ts";
import { follow, graph, image, promptId, setUp, story, success, types } from "./testing/prompt-run-stage.ts";

/** A prompt that another process has submitted, and its server. */
function setUpResumed(options: Partial<ComfyUiEngineOptions> = {}) {
  const stage = setUp(options, { resume: true, maySubmit: () => expect.unreachable("nothing is submitted") });
  stage.client.submissions.push({ promptId, clientId: "of another process", graph, previews: true });
  return stage;
}

const failure = { nodeId: "9", classType: "SaveImage", exceptionType: "ValueError", message: "bad" };

describe("PromptRun resumed", () => {
  it.each([true, false])("follows a prompt that waits to its end (jobs route: %s)", async (jobsRoutes) => {
    const { client, told, run } = setUpResumed();
    client.jobsRoutes = jobsRoutes;
    const states = ["pending", "pending", "running", "running", "ended"] as const;
    let lookUps = 0;
    client.onLookUp = () => {
      client.state = states[lookUps++] ?? "ended";
      client.promptRecord = client.state === "ended" ? success : undefined;
    };
    const outcome = await follow(run);
    expect(types(outcome)).toEqual(["submitted", "started", "finished"]);
    expect(outcome.events.at(-1)).toEqual({ type: "finished", outputs: [image] });
    expect(client.calls).not.toContain("submit");
    expect(told.abandoned).toEqual([]);
  });

  it("harvests a prompt that ended while nobody followed it, without a pause", async () => {
    const { client, run } = setUpResumed({ pollIntervalMs: 60_000 });
    client.state = "ended";
    client.promptRecord = success;
    const outcome = await follow(run);
    expect(outcome.events).toEqual([
      { type: "submitted" },
      { type: "started", cachedNodeIds: ["4"] },
      { type: "finished", outputs: [image] },
    ]);
  });

  it.each([
    ["a node failed", { type: "failed", failure }, "NODE_FAILED"],
    [
      "memory ran out",
      { type: "failed", failure: { ...failure, exceptionType: "torch.OutOfMemoryError" } },
      "OUT_OF_MEMORY",
    ],
    ["it was interrupted", { type: "interrupted" }, "PROMPT_INTERRUPTED"],
  ] as const)("ends as the prompt did while nobody followed it: %s", async (_what, end, reason) => {
    const { client, run } = setUpResumed();
    client.state = "ended";
    client.promptRecord = { ...success, end };
    expect((await follow(run)).reason).toBe(reason);
  });

  it("has lost a prompt that is not there at a second look either, and has it cancelled should it come", async () => {
    const { client, told, run } = setUpResumed();
    const outcome = await follow(run);
    expect(outcome).toMatchObject({ reason: "PROMPT_LOST", events: [] });
    expect(client.calls).toEqual(["job", "job"]);
    expect(told.abandoned).toEqual([promptId]);
  });

  it("follows a prompt that was still on its way at the first look", async () => {
    const { client, run } = setUpResumed();
    client.promptRecord = success;
    let lookUps = 0;
    client.onLookUp = () => {
      client.state = lookUps++ === 0 ? "absent" : "ended";
    };
    expect(types(await follow(run))).toEqual(["submitted", "started", "finished"]);
  });

  it("notices that the backend forgets a prompt that it follows", async () => {
    const { client, run } = setUpResumed();
    client.state = "running";
    const outcome = await follow(run, ({ type }) => {
      if (type === "started") {
        client.state = "absent";
      }
    });
    expect(outcome.reason).toBe("PROMPT_LOST");
  });

  it("does not ask the socket, whose events go to whoever submitted the prompt", async () => {
    const { client, socket, run } = setUpResumed();
    client.state = "running";
    client.promptRecord = success;
    const outcome = await follow(run, ({ type }) => {
      if (type === "started") {
        socket.say(...story);
        client.state = "ended";
      }
    });
    expect(types(outcome)).toEqual(["submitted", "started", "finished"]);
    expect(socket).toMatchObject({ registrations: 0, replaced: 0 });
  });

  it("waits for a backend that is out of reach at first", async () => {
    const { client, run } = setUpResumed();
    client.promptRecord = success;
    client.reachable = false;
    const look = client.job.bind(client);
    let refused = 0;
    client.job = () => {
      client.reachable = ++refused > 3;
      client.state = "ended";
      return look();
    };
    expect(types(await follow(run))).toEqual(["submitted", "started", "finished"]);
  });

  it("gives up a backend that stays out of reach, and leaves the prompt to be resumed again", async () => {
    const { client, told, run } = setUpResumed({ lostAfterMs: 30 });
    client.reachable = false;
    expect((await follow(run)).reason).toBe("BACKEND_LOST");
    expect(told.abandoned).toEqual([]);
  });
});

describe("PromptRun resumed and cancelled", () => {
  it.each(["pending", "running"] as const)("cancels a prompt that it follows (%s)", async (state) => {
    const { client, stop, run } = setUpResumed();
    client.state = state;
    expect((await follow(run, () => stop.abort())).reason).toBe("CANCELLED_BY_CALLER");
    expect(client.state).toBe("absent");
  });

  it("cancels a prompt that it has not even looked for yet", async () => {
    const { client, stop, run } = setUpResumed();
    client.state = "running";
    stop.abort();
    expect((await follow(run)).reason).toBe("CANCELLED_BY_CALLER");
    expect(client.calls).toContain("cancel");
    expect(client.state).toBe("absent");
  });

  it("finishes all the same if the work had been done before", async () => {
    const { client, stop, run } = setUpResumed();
    client.promptRecord = success;
    client.onCancel = () => {
      client.state = "ended";
    };
    stop.abort();
    expect((await follow(run)).events.at(-1)).toEqual({ type: "finished", outputs: [image] });
  });

  it("looks twice for a prompt that may still come, and has it looked for once more", async () => {
    const { client, stop, told, run } = setUpResumed();
    stop.abort();
    expect((await follow(run)).reason).toBe("CANCELLED_BY_CALLER");
    expect(client.calls.filter((call) => call === "job")).toHaveLength(2);
    expect(told.abandoned).toEqual([promptId]);
  });
});

describe("PromptRun resumed, watching over silence", () => {
  it("finds a worker that runs nothing though the prompt waits", async () => {
    const { client, told, run } = setUpResumed({ pendingSilenceMs: 40 });
    client.state = "pending";
    expect((await follow(run)).reason).toBe("BACKEND_STALLED");
    expect(client.state).toBe("absent");
    expect(told.stalled).toBe(1);
  });

  it("waits for as long as the backend runs something else", async () => {
    const { client, stop, run } = setUpResumed({ pendingSilenceMs: 4 });
    client.state = "pending";
    client.queue = async () => {
      if (client.calls.push("queue") > 40) {
        stop.abort();
      }
      return { runningIds: ["a stranger's"], pendingIds: [promptId] };
    };
    expect((await follow(run)).reason).toBe("CANCELLED_BY_CALLER");
  });

  it("does not expect events of a running prompt", async () => {
    const { client, run } = setUpResumed({ stepSilenceMs: 1, loadingSilenceMs: 1 });
    client.promptRecord = success;
    client.onLookUp = () => {
      client.state = client.calls.length < 20 ? "running" : "ended";
    };
    expect(types(await follow(run))).toEqual(["submitted", "started", "finished"]);
    expect(client.calls).not.toContain("cancel");
  });

  it("takes a running prompt for stuck if it runs for longer than one may unheard", async () => {
    const { client, told, run } = setUpResumed({ unheardRunMs: 40 });
    client.state = "running";
    expect((await follow(run)).reason).toBe("BACKEND_STALLED");
    expect(client.state).toBe("absent");
    expect(told.stalled).toBe(1);
  });
});
