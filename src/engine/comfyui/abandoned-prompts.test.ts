import { describe, expect, it } from "vitest";
import { createLogger } from "../../telemetry/logger.ts";
import { AbandonedPrompts } from "./abandoned-prompts.ts";
import type { JobState } from "./client.ts";
import { PromptFinder } from "./look-up.ts";
import { ScriptedClient } from "./testing/scripted-client.ts";

/** A server that has many prompts. */
class Prompts extends ScriptedClient {
  readonly states = new Map<string, JobState | "absent">();
  /** Prompts that do not stop. */
  readonly stubborn = new Set<string>();
  readonly cancelled: string[] = [];

  override async job(promptId = ""): Promise<JobState | "absent"> {
    await super.job();
    return this.states.get(promptId) ?? "absent";
  }

  override async cancelJob(promptId = ""): Promise<boolean | "noRoute"> {
    await super.cancelJob();
    this.cancelled.push(promptId);
    if (!this.stubborn.has(promptId)) {
      this.states.delete(promptId);
    }
    return true;
  }
}

function setUp({ timeoutMs = 30 } = {}) {
  const client = new Prompts();
  const clock = { nowMs: 0 };
  const lifetime = new AbortController();
  const prompts = new AbandonedPrompts({
    client,
    finder: new PromptFinder(client),
    cancelRoutes: { hasJobsRoute: undefined, interruptReadsId: true },
    logger: createLogger({ level: "silent" }),
    lifetime: lifetime.signal,
    timeoutMs,
    nowMs: () => clock.nowMs,
  });
  const sweep = async () => {
    client.cancelled.length = 0;
    prompts.sweep();
    await prompts.settled;
    return [...client.cancelled];
  };
  return { client, clock, lifetime, prompts, sweep };
}

describe("AbandonedPrompts", () => {
  it("asks the server for nothing if there is nothing to cancel", async () => {
    const { client, sweep } = setUp();
    await sweep();
    expect(client.calls).toEqual([]);
  });

  it("cancels what is there, and looks once more, later, whether it has come again", async () => {
    const { client, clock, prompts, sweep } = setUp();
    client.states.set("a", "running");
    prompts.add("a");
    expect(await sweep()).toEqual(["a"]);
    expect(client.states.has("a")).toBe(false);
    expect(await sweep()).toEqual(["a"]); // too early to be sure
    clock.nowMs += 2_000;
    client.states.set("a", "pending");
    expect(await sweep()).toEqual(["a"]);
    expect(client.states.has("a")).toBe(false);
    expect(await sweep()).toEqual([]);
  });

  it("is done with a prompt that has ended", async () => {
    const { client, prompts, sweep } = setUp();
    client.states.set("a", "ended");
    client.stubborn.add("a");
    prompts.add("a");
    expect(await sweep()).toEqual(["a"]);
    expect(await sweep()).toEqual([]);
  });

  it("takes in, while it is at it, what is added meanwhile", async () => {
    const { client, prompts, sweep } = setUp();
    prompts.add("a");
    const cancelJob = client.cancelJob.bind(client);
    client.cancelJob = (promptId) => {
      prompts.add("b");
      prompts.sweep();
      return cancelJob(promptId);
    };
    expect(await sweep()).toEqual(["a", "b"]);
  });

  it("stops at a server that does not answer, and goes on when it does", async () => {
    const { client, prompts, sweep } = setUp();
    client.states.set("a", "running").set("b", "pending");
    prompts.add("a");
    prompts.add("b");
    client.reachable = false;
    expect(await sweep()).toEqual([]);
    client.reachable = true;
    expect((await sweep()).toSorted()).toEqual(["a", "b"]);
    expect(client.states.size).toBe(0);
  });

  it("ends with the engine, at once", async () => {
    const { client, lifetime, prompts, sweep } = setUp({ timeoutMs: 60_000 });
    client.reachable = false;
    prompts.add("a");
    setImmediate(() => lifetime.abort());
    await sweep();
  });

  it("does not let a prompt that does not stop keep others from being cancelled", async () => {
    const { client, prompts, sweep } = setUp();
    client.states.set("stuck", "running");
    client.states.set("waiting", "pending");
    client.stubborn.add("stuck");
    prompts.add("stuck");
    prompts.add("waiting");
    expect(new Set(await sweep())).toEqual(new Set(["stuck"]));
    client.stubborn.clear();
    expect(await sweep()).toEqual(["waiting", "stuck"]);
  });

  it("outlives an unexpected failure", async () => {
    const { client, prompts, sweep } = setUp();
    client.states.set("a", "running");
    prompts.add("a");
    const cancelJob = client.cancelJob.bind(client);
    client.cancelJob = () => Promise.reject(new TypeError("unexpected"));
    await sweep();
    client.cancelJob = cancelJob;
    expect(await sweep()).toEqual(["a"]);
  });

  it("remembers a thousand", async () => {
    const { prompts, sweep } = setUp();
    for (let index = 0; index < 1_001; index++) {
      prompts.add(String(index));
    }
    expect(await sweep()).toHaveLength(1_000);
  });
});
