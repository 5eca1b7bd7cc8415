import { once } from "node:events";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { merge } from "./merge.ts";

describe("merge", () => {
  it("yields all that its sources yield, of each in its order", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(fc.nat())), async (lists) => {
        const merged = await Array.fromAsync(
          merge(() =>
            lists.map(async function* (list, source) {
              for (const [place, value] of list.entries()) {
                await (value % 2 === 0 ? undefined : new Promise(setImmediate));
                yield { source, place, value };
              }
            }),
          ),
        );
        for (const [i, list] of lists.entries()) {
          expect(merged.filter(({ source }) => source === i).map(({ value }) => value)).toEqual(list);
        }
      }),
    );
  });

  it("asks no source for more than has been taken", async () => {
    let asked = 0;
    const merged = merge(() => [
      (async function* () {
        for (;;) {
          asked += 1;
          yield asked;
        }
      })(),
    ]);
    await merged.next();
    await new Promise(setImmediate);
    expect(asked).toBe(1);
    await merged.return();
  });

  it("ends every source when one fails, and when the loop is left", async () => {
    let ended = 0;
    const endless = async function* (stop: AbortSignal) {
      try {
        yield 1;
        if (!stop.aborted) {
          await once(stop, "abort");
        }
      } finally {
        ended += 1;
      }
    };
    const failing = async function* () {
      yield 2;
      throw new Error("broken");
    };
    await expect(Array.fromAsync(merge((stop) => [endless(stop), failing()]))).rejects.toThrow("broken");
    for await (const _ of merge((stop) => [endless(stop), endless(stop)])) {
      break;
    }
    expect(ended).toBe(3);
  });
});
