import { describe, expect, it } from "vitest";
import { ScriptedBackend } from "../../test/support/scripted-backend.ts";
import { openJobsHome, type Replica, startAlone } from "../../test/support/start-jobs.ts";
import { waitUntil } from "../../test/support/wait-until.ts";

/** Resolves when what is wrong is, or has become, that. */
async function until({ storeWatch }: Replica, problem: RegExp): Promise<void> {
  while (!problem.test(storeWatch.problem)) {
    const { promise, resolve } = Promise.withResolvers<void>();
    using _ = storeWatch.onChange(resolve);
    await promise;
  }
}

describe("StoreWatch", () => {
  it("knows whether the stores work, and tells when that changes", async () => {
    await using alone = await startAlone([]);
    const { replica } = alone;
    const { storeWatch, faults } = replica;
    expect(storeWatch.problem).toBe("");
    storeWatch.assertWorking();

    faults.break();
    await until(replica, /job store.*image store/);
    expect(() => storeWatch.assertWorking()).toThrow(
      expect.objectContaining({
        reason: "STORE_UNAVAILABLE",
        details: { retryAfterMs: expect.any(Number) },
      }),
    );
    faults.break("counts");
    await until(replica, /^the job store[^;]*$/);
    faults.mend();
    await until(replica, /^$/);
    storeWatch.assertWorking();
  });

  it("does not tell what is none of the callers' business", async () => {
    await using alone = await startAlone([]);
    const { storeWatch, faults } = alone.replica;
    faults.makeImpossible("check", () => true);
    await until(alone.replica, /./);
    expect(storeWatch.problem).not.toContain("cannot be done");
  });

  it("counts jobs", async () => {
    const backend = new ScriptedBackend();
    await using home = await openJobsHome();
    await using replica = home.start(backend.connect(), { maxInFlight: 1 });
    await replica.submit();
    await backend.given(1);
    await replica.submit();
    const { storeWatch } = replica;
    await waitUntil(() => storeWatch.counts.queued === 1 && storeWatch.counts.running === 1, "it has looked");
  });

  it("ends while a store does not answer", async () => {
    await using home = await openJobsHome();
    const replica = home.start([]);
    const hold = replica.faults.hold("counts");
    await hold.reached;
    await replica[Symbol.asyncDispose]();
    hold.release();
    expect(replica.storeWatch.problem).toBe("");
  });
});
