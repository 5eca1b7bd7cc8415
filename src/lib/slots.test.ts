import { describe, expect, it } from "vitest";
import { Slots } from "./slots.ts";

const never = new AbortController().signal;

describe("Slots", () => {
  it("let two go on and the others wait in their order", async () => {
    const slots = new Slots(2);
    const begun: number[] = [];
    const ends = Array.from({ length: 4 }, () => Promise.withResolvers<void>());
    const works = ends.map(({ promise }, i) =>
      slots.run(async () => {
        begun.push(i);
        await promise;
        return i;
      }, never),
    );
    await flush();
    expect(begun).toEqual([0, 1]);
    ends[1]?.resolve();
    await works[1];
    await flush();
    expect(begun).toEqual([0, 1, 2]);
    for (const { resolve } of ends) resolve();
    expect(await Promise.all(works)).toEqual([0, 1, 2, 3]);
  });

  it("are given back by work that fails", async () => {
    const slots = new Slots(1);
    await expect(slots.run(() => Promise.reject(new Error("broken")), never)).rejects.toThrow("broken");
    expect(await slots.run(() => Promise.resolve("next"), never)).toBe("next");
  });

  it("are not waited for by who is aborted, and none is lost", async () => {
    const slots = new Slots(1);
    const first = Promise.withResolvers<void>();
    const holding = slots.run(() => first.promise, never);
    const leaving = new AbortController();
    const left = slots.run(() => Promise.resolve(), leaving.signal);
    const staying = slots.run(() => Promise.resolve("done"), never);
    leaving.abort(new Error("gone"));
    await expect(left).rejects.toThrow("gone");
    await expect(slots.run(() => Promise.resolve(), leaving.signal)).rejects.toThrow("gone");
    first.resolve();
    await holding;
    expect(await staying).toBe("done");
    expect(await slots.run(() => Promise.resolve("again"), never)).toBe("again");
  });
});

async function flush(): Promise<void> {
  for (let i = 0; i < 5; i += 1) await Promise.resolve();
}
