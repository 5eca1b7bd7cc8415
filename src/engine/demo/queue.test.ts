import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PromptQueue, type QueuedPrompt } from "./queue.ts";

function prompt(number: number, promptId: string): QueuedPrompt {
  return { number, promptId, graph: {}, extraData: {}, outputs: [], targets: [] };
}

describe("the queue", () => {
  it("hands out prompts by number, then id, whatever was deleted in between", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: -9, max: 9 }), fc.nat(99), fc.boolean())),
        (entries) => {
          const queue = new PromptQueue(() => {});
          const kept: QueuedPrompt[] = [];
          for (const [index, [number]] of entries.entries()) {
            const entry = prompt(number, `p${index}`);
            queue.put(entry);
            kept.push(entry);
          }
          for (const [index, [, , remove]] of entries.entries()) {
            if (remove) {
              expect(queue.delete(`p${index}`)).toBe(true);
              kept.splice(
                kept.findIndex((entry) => entry.promptId === `p${index}`),
                1,
              );
            }
          }
          const taken: string[] = [];
          for (let next = queue.take(); next; next = queue.take()) {
            taken.push(next.promptId);
          }
          kept.sort((a, b) => a.number - b.number || (a.promptId < b.promptId ? -1 : 1));
          expect(taken).toEqual(kept.map((entry) => entry.promptId));
        },
      ),
    );
  });

  it("reports each change once, and counts waiting and running prompts", () => {
    const counts: number[] = [];
    const queue: PromptQueue = new PromptQueue(() => counts.push(queue.remaining));
    const entry = prompt(0, "a");
    queue.put(entry);
    queue.take();
    queue.finish(entry, () => {});
    expect(queue.delete("a")).toBe(false);
    expect(counts).toEqual([1, 1, 0]);
  });

  it("never interrupts a prompt that has ended and whose record is held back", () => {
    const queue = new PromptQueue(() => {});
    const entry = prompt(0, "a");
    queue.put(entry);
    queue.take();
    expect(queue.isRunning("a")).toBe(true);
    queue.holdBack(entry);
    expect(queue.isRunning("a")).toBe(false);
    expect(queue.running).toEqual([entry]);
  });
});
