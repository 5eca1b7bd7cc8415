import { describe, expect, it } from "vitest";
import { createLogger } from "../../telemetry/logger.ts";
import { type CancelDependencies, cancelPrompt } from "./cancel.ts";
import { PromptFinder } from "./look-up.ts";
import { ScriptedClient } from "./testing/scripted-client.ts";

const promptId = "85fcbf19-df22-4369-b2ed-f62ef5031d0d";

function setUp(given: Partial<CancelDependencies> = {}) {
  const client = new ScriptedClient();
  client.submissions.push({ promptId, clientId: "c", graph: {}, previews: false });
  const deps: CancelDependencies = {
    client,
    finder: new PromptFinder(client),
    routes: { hasJobsRoute: undefined, interruptReadsId: true },
    logger: createLogger({ level: "silent" }),
    timeoutMs: 5_000,
    absencesNeeded: 1,
    hasEnded: () => false,
    wait: async () => {},
    ...given,
  };
  return { client, deps, cancel: () => cancelPrompt(promptId, deps, AbortSignal.timeout(5_000)) };
}

describe("cancelPrompt", () => {
  it("uses the atomic route and looks whether it is over", async () => {
    const { client, cancel } = setUp();
    client.state = "running";
    expect(await cancel()).toEqual({ state: "absent" });
    expect(client.calls).toEqual(["cancel", "job"]);
  });

  it("looks twice for a prompt that may not have arrived yet, and cancels it if it then has", async () => {
    const { client, cancel } = setUp({
      absencesNeeded: 2,
      wait: async () => {
        client.state = arrived ? "absent" : "running";
        arrived = true;
      },
    });
    let arrived = false;
    expect(await cancel()).toEqual({ state: "absent" });
    expect(arrived).toBe(true);
    expect(client.state).toBe("absent");
  });

  it("goes on until the prompt is over: an interrupt may be heeded late", async () => {
    const { client, cancel } = setUp();
    client.state = "running";
    let lookUps = 0;
    client.onCancel = () => {};
    client.onLookUp = () => {
      client.state = ++lookUps === 4 ? "ended" : "running";
    };
    expect(await cancel()).toEqual({ state: "ended" });
    expect(client.calls.filter((call) => call === "cancel")).toHaveLength(4);
  });

  it("without that route, deletes from the queue, then interrupts, then looks in queue and history", async () => {
    const { client, cancel } = setUp();
    client.jobsRoutes = false;
    client.state = "running";
    expect(await cancel()).toEqual({ state: "absent" });
    expect(client.calls).toEqual(["cancel", "delete", "interrupt", "job", "queue", "record"]);
  });

  it("remembers that the server has no such route", async () => {
    const { client, cancel } = setUp();
    client.jobsRoutes = false;
    await cancel();
    client.calls.length = 0;
    await cancel();
    expect(client.calls).not.toContain("cancel");
    expect(client.calls).not.toContain("job");
  });

  it("never interrupts a stranger's prompt where the server does not read the id", async () => {
    const { client, cancel } = setUp({ routes: { hasJobsRoute: false, interruptReadsId: false } });
    client.jobsRoutes = false;
    client.state = "pending";
    expect(await cancel()).toEqual({ state: "absent" });
    expect(client.calls).not.toContain("interrupt");
  });

  it("does interrupt there if its own prompt is the one that runs", async () => {
    const { client, cancel } = setUp({ routes: { hasJobsRoute: false, interruptReadsId: false } });
    client.jobsRoutes = false;
    client.state = "running";
    expect(await cancel()).toEqual({ state: "absent" });
    expect(client.calls).toContain("interrupt");
  });

  it("asks nothing if an event has told that the prompt is over", async () => {
    const { client, cancel } = setUp({ hasEnded: () => true });
    expect(await cancel()).toEqual({ state: "ended" });
    expect(client.calls).toEqual([]);
  });

  it("repeats requests that got no answer", async () => {
    const { client, cancel } = setUp({
      wait: async () => {
        client.reachable = true;
      },
    });
    client.reachable = false;
    client.state = "running";
    expect(await cancel()).toEqual({ state: "absent" });
  });

  it("gives up after its time, without claiming that the prompt is over", async () => {
    const { client, cancel } = setUp({
      timeoutMs: 50,
      wait: () => new Promise((resolve) => setImmediate(resolve)),
    });
    client.state = "running";
    client.onCancel = () => {};
    expect(await cancel()).toEqual({ state: "unproven" });
  });
});
