import { expect, it } from "vitest";
import { abortable } from "./abortable.ts";

it("passes everything on", async () => {
  const { signal } = new AbortController();
  expect(await Array.fromAsync(abortable(numbers([1, 2, 3]), signal))).toEqual([1, 2, 3]);
});

it("throws the reason of an abort while the source is silent, and ends the source", async () => {
  const controller = new AbortController();
  const source = silentAfter(1);
  const seen: number[] = [];
  const reading = (async () => {
    for await (const item of abortable(source, controller.signal)) {
      seen.push(item);
    }
  })();
  await source.silent;
  controller.abort(new Error("enough"));
  await expect(reading).rejects.toThrow("enough");
  expect(seen).toEqual([1]);
  expect(source.isEnded).toBe(true);
});

it("ends the source when the loop is left", async () => {
  const source = silentAfter(1, 2);
  for await (const _ of abortable(source, new AbortController().signal)) {
    break;
  }
  expect(source.isEnded).toBe(true);
});

it("does not begin when it is too late", async () => {
  await expect(abortable(numbers([1]), AbortSignal.abort(new Error("over"))).next()).rejects.toThrow("over");
});

async function* numbers(items: readonly number[]): AsyncGenerator<number> {
  yield* items;
}

/** Yields the numbers and then never answers again. */
function silentAfter(...items: number[]) {
  const silent = Promise.withResolvers<void>();
  const source = {
    silent: silent.promise,
    isEnded: false,
    [Symbol.asyncIterator]: (): AsyncIterator<number> => ({
      async next() {
        const value = items.shift();
        if (value !== undefined) {
          return { done: false, value };
        }
        silent.resolve();
        return new Promise(() => {});
      },
      async return() {
        source.isEnded = true;
        return { done: true, value: undefined };
      },
    }),
  };
  return source;
}
