import { describe, expect, it } from "vitest";
import { runChaos } from "../chaos/run-chaos.ts";
import { hasOwnPostgres } from "../support/postgres.ts";

describe.skipIf(!hasOwnPostgres)("two replicas and two engines on one PostgreSQL", () => {
  it("lose no job, mix up none, and run none twice for nothing, while all around them breaks", async () => {
    const report = await runChaos({
      jobCount: 40,
      callerCount: 12,
      stepMs: 20,
      stepCount: 10,
      seed: 7,
      boundMs: 150_000,
    });
    expect(report).toMatchObject({ jobCount: 40, lost: [], stuck: [], wrong: [], needlessRuns: [] });
    expect(report.succeededCount + report.failed.length).toBe(40);
    expect(Object.values(report.harm).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(0);
  }, 300_000);
});
