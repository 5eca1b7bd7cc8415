import { describe, expect, it } from "vitest";
import { createLogger } from "../../telemetry/logger.ts";
import { RecordSweeper } from "./record-sweeper.ts";

function setUp(delayMs: number, deleteRecords?: (promptIds: readonly string[]) => Promise<void>) {
  const batches: (readonly string[])[] = [];
  const first = Promise.withResolvers<void>();
  const sweeper = new RecordSweeper({
    client: {
      deleteRecords: async (promptIds) => {
        batches.push(promptIds);
        first.resolve();
        await deleteRecords?.(promptIds);
      },
    },
    logger: createLogger({ level: "silent" }),
    delayMs,
  });
  return { sweeper, batches, first: first.promise };
}

describe("RecordSweeper", () => {
  it("sends what it has gathered after its delay, with one request", async () => {
    const { sweeper, batches, first } = setUp(1);
    await using _ = sweeper;
    sweeper.add("a");
    sweeper.add("b");
    await first;
    expect(batches).toEqual([["a", "b"]]);
  });

  it("does not wait once it has many", async () => {
    const { sweeper, batches } = setUp(60_000);
    await using _ = sweeper;
    for (let i = 0; i < 130; i++) {
      sweeper.add(`${i}`);
    }
    expect(batches.map(({ length }) => length)).toEqual([64, 64]);
  });

  it("sends the rest when it is disposed of, and takes a failure for no reason to fail", async () => {
    const { sweeper, batches } = setUp(60_000, () => Promise.reject(new Error("refused")));
    sweeper.add("a");
    await sweeper[Symbol.asyncDispose]();
    expect(batches).toEqual([["a"]]);
  });

  it("takes no ids once it is disposed of", async () => {
    const { sweeper, batches } = setUp(60_000);
    await sweeper[Symbol.asyncDispose]();
    for (let i = 0; i < 64; i++) {
      sweeper.add(`${i}`);
    }
    expect(batches).toEqual([]);
  });
});
