import { describe, expect, it } from "vitest";
import { Outbox, type OutboxEntry } from "./outbox.ts";

const lasting = (payload: string): OutboxEntry => ({ payload, isPassing: false });
const passing = (payload: string): OutboxEntry => ({ payload, isPassing: true });
const preview = (jobId: string, id: string): OutboxEntry => ({
  payload: id,
  isPassing: true,
  preview: { jobId, id, data: new Uint8Array(500) },
});

/** Room for about ten entries without previews. */
const small = { maxBytes: 1_050, maxBatch: 100 };

describe("Outbox", () => {
  it("gives out what it was given, in order, in batches", () => {
    const outbox = new Outbox({ maxBytes: 10_000, maxBatch: 2 });
    for (const payload of ["a", "b", "c"]) {
      outbox.add(lasting(payload));
    }
    expect(outbox.take()).toEqual({ hasGap: false, payloads: ["a", "b"], previews: [] });
    expect(outbox.take()).toEqual({ hasGap: false, payloads: ["c"], previews: [] });
    expect(outbox.take()).toBeUndefined();
  });

  it("drops what is passing when there is too much, without a gap", () => {
    const outbox = new Outbox(small);
    for (let i = 0; i < 9; i++) {
      outbox.add(i % 2 ? passing(`p${i}`) : lasting(`l${i}`));
    }
    outbox.add(preview("a", "p9"));
    expect(outbox.take()).toMatchObject({ hasGap: false, payloads: ["l0", "l2", "l4", "l6", "l8"] });
  });

  it("drops everything when there is too much that lasts, and makes a gap of it", () => {
    const outbox = new Outbox(small);
    for (let i = 0; i < 11; i++) {
      outbox.add(lasting(`l${i}`));
    }
    outbox.add(lasting("next"));
    expect(outbox.take()).toEqual({ hasGap: true, payloads: ["next"], previews: [] });
    expect(outbox.take()).toBeUndefined();
  });

  it("never drops what lasts for what is passing", () => {
    const outbox = new Outbox(small);
    for (let i = 0; i < 10; i++) {
      outbox.add(lasting(`${i}`));
    }
    outbox.add(passing("p"));
    expect(outbox.take()?.payloads).toHaveLength(10);
  });

  it("has room again when something was taken out", () => {
    const outbox = new Outbox(small);
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 5; i++) {
        outbox.add(lasting("l"));
        outbox.add(passing("p"));
      }
      expect(outbox.take()).toMatchObject({ hasGap: false, payloads: { length: 10 } });
    }
  });

  it("sends only the newest preview of each job", () => {
    const outbox = new Outbox({ maxBytes: 100_000, maxBatch: 100 });
    for (const entry of [preview("a", "a1"), preview("b", "b1"), lasting("l"), preview("a", "a2")]) {
      outbox.add(entry);
    }
    const batch = outbox.take();
    expect(batch?.payloads).toEqual(["b1", "l", "a2"]);
    expect(batch?.previews.map(({ id }) => id).toSorted()).toEqual(["a2", "b1"]);
  });

  it("remembers a gap until it is taken out", () => {
    const outbox = new Outbox(small);
    outbox.add(lasting("lost"));
    outbox.lose();
    expect(outbox.take()).toEqual({ hasGap: true, payloads: [], previews: [] });
    expect(outbox.take()).toBeUndefined();
  });
});
