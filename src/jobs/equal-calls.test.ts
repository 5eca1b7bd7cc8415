import { describe, expect, it } from "vitest";
import { buildSpec } from "../../test/support/generations.ts";
import { hasPostgres, startTestPostgres } from "../../test/support/postgres.ts";
import { ScriptedEngine } from "../../test/support/scripted-engine.ts";
import { caller, never, openJobsHome, repeatable } from "../../test/support/start-jobs.ts";
import { waitUntil } from "../../test/support/wait-until.ts";

describe.skipIf(!hasPostgres)("equal calls at once, with PostgreSQL", () => {
  it("do not keep their job from being claimed, though each holds it for a moment", async () => {
    await using postgres = await startTestPostgres();
    await using home = await openJobsHome(postgres.url);
    // The driver looks by itself once in 20 minutes: it has to be told.
    await using replica = home.start(new ScriptedEngine(), { leaseMs: 3_600_000 });
    await waitUntil(() => replica.faults.calls.includes("adopt"), "it drives the backend");
    for (let round = 0; round < 5; round++) {
      const calls = await Promise.all(
        Array.from({ length: 50 }, () =>
          replica.service.generate(buildSpec(), repeatable(`r-${round}`), caller, never),
        ),
      );
      const ids = new Set(calls.map(({ id }) => id));
      expect(ids.size).toBe(1);
      expect(await replica.end(calls[0]?.id ?? "")).toMatchObject({ state: "succeeded" });
    }
  });
});
