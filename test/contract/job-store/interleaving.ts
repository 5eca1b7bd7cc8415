import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { expect, it } from "vitest";
import type { LastingEvent, LastingEventData } from "../../../src/domain/job-event.ts";
import { afterEvent, hasEnded, type JobRecord } from "../../../src/domain/job-record.ts";
import type { Claim, JobStore, Lease } from "../../../src/storage/job-store.ts";
import {
  all,
  at,
  buildFailure,
  buildJob,
  buildSubmission,
  buildWrite,
  completed,
  never,
  nodeStarted,
  produced,
  queuedAgain,
  started,
  stopped,
  submitted,
} from "./job-builders.ts";
import type { TestStore } from "./store-home.ts";

/** What may be done at any moment. `pick` chooses among what there is. */
type Action =
  | { readonly do: "submit"; readonly count: number; readonly attached: boolean }
  | { readonly do: "stop"; readonly pick: number; readonly ifUnattached: boolean }
  | { readonly do: "acquire"; readonly backend: number; readonly ttlMs: number }
  | { readonly do: "release" | "pause" | "adopt"; readonly pick: number }
  | { readonly do: "claim"; readonly pick: number; readonly limit: number }
  | { readonly do: "record"; readonly pick: number; readonly job: number; readonly what: number }
  | { readonly do: "detach"; readonly pick: number }
  | { readonly do: "expire" | "failAttached" | "rescue"; readonly maxAttempts: number };

const pick = fc.nat({ max: 999 });
const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({
    do: fc.constant("submit" as const),
    count: fc.integer({ min: 1, max: 3 }),
    attached: fc.boolean(),
  }),
  fc.record({ do: fc.constant("stop" as const), pick, ifUnattached: fc.boolean() }),
  fc.record({
    do: fc.constant("acquire" as const),
    backend: fc.nat({ max: 1 }),
    ttlMs: fc.constantFrom(0, 60_000),
  }),
  fc.record({ do: fc.constantFrom("release" as const, "pause" as const, "adopt" as const), pick }),
  { weight: 3, arbitrary: fc.record({ do: fc.constant("claim" as const), pick, limit: fc.constant(2) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("record" as const), pick, job: pick, what: pick }) },
  fc.record({ do: fc.constant("detach" as const), pick }),
  fc.record({
    do: fc.constantFrom("expire" as const, "failAttached" as const, "rescue" as const),
    maxAttempts: fc.integer({ min: 1, max: 3 }),
  }),
);

/** Some at once, then some more at once. */
const rounds = fc.array(fc.array(action, { minLength: 1, maxLength: 6 }), { minLength: 4, maxLength: 12 });

/** What holds whatever is done in whatever order. */
export function interleaving(open: () => Promise<TestStore>): void {
  it("keeps every job in one true state", async () => {
    await fc.assert(
      fc.asyncProperty(rounds, async (all) => {
        await using store = await open();
        const world = new World(store);
        await world.run({ do: "acquire", backend: 0, ttlMs: 60_000 });
        await world.run({ do: "submit", count: 2, attached: false });
        for (const round of all) {
          await Promise.all(round.map((each) => world.run(each)));
          await world.check();
        }
      }),
      { numRuns: 15 },
    );
  });
}

/** Does things to a store, and remembers what it was told. */
class World {
  readonly #stores: readonly JobStore[];
  readonly #submitted = new Map<string, JobRecord>();
  readonly #ended = new Map<string, JobRecord>();
  readonly #leases: Lease[] = [];
  readonly #claims: { readonly claim: Claim; readonly lease: Lease }[] = [];
  #turn = 0;

  constructor({ jobs, other }: TestStore) {
    this.#stores = [jobs, other];
  }

  async run(action: Action): Promise<void> {
    const store = this.#store();
    switch (action.do) {
      case "submit": {
        const jobs = Array.from({ length: action.count }, () => buildJob({ attached: action.attached }));
        for (const record of await submitted(store, buildSubmission(jobs))) {
          this.#submitted.set(record.id, record);
        }
        return;
      }
      case "stop": {
        const failure = buildFailure("CANCELLED_BY_REQUEST");
        const jobId = this.#job(action.pick);
        await store.stop({ jobId, failure, onlyIfUnattached: action.ifUnattached }, never);
        return;
      }
      case "acquire": {
        const backend = `gpu-${action.backend}`;
        const lease = await store.acquireLease(backend, randomUUID(), action.ttlMs, never);
        if (lease !== undefined) {
          this.#leases.push(lease);
        }
        return;
      }
      case "release":
        return await store.releaseLease(this.#lease(action.pick), never);
      case "pause":
        await store.renewLease(this.#lease(action.pick), 0, never);
        return;
      case "adopt":
        await store.adopt(this.#lease(action.pick), never);
        return;
      case "claim": {
        const lease = this.#lease(action.pick);
        for (const claim of await store.claim(lease, action.limit, randomUUID, never)) {
          this.#claims.push({ claim, lease });
        }
        return;
      }
      case "record": {
        const lease = this.#lease(action.pick);
        const data = happenings[action.what % happenings.length] ?? [];
        const attemptFate = (["unknown", "gone", "never"] as const)[action.what % 3] ?? "gone";
        await store.record([buildWrite(this.#job(action.job), lease, data, { attemptFate })], never);
        return;
      }
      case "detach":
        await store.detach(this.#job(action.pick), never);
        return;
      case "expire":
        await store.expireQueued(at(1), buildFailure("JOB_TIMEOUT"), 2, never);
        return;
      case "failAttached":
        await store.failAttached(
          [...this.#submitted.keys()].slice(0, 3),
          buildFailure("SHUTTING_DOWN"),
          never,
        );
        return;
      case "rescue":
        await store.rescueUndriven(
          {
            undrivenMs: 0,
            maxAttempts: action.maxAttempts,
            failure: buildFailure("BACKEND_LOST"),
            queueDeadline: at(9_999),
            limit: 2,
          },
          never,
        );
    }
  }

  async check(): Promise<void> {
    const store = this.#store();
    const records = await store.list("", all, 1_000, never);
    expect(records.map(({ id }) => id).sort()).toEqual([...this.#submitted.keys()].sort());
    let queued = 0;
    let running = 0;
    for (const record of records) {
      const events = (await store.readEvents(record.id, 0n, never)) ?? [];
      expect(events.map(({ sequence }) => sequence)).toEqual(
        Array.from({ length: Number(record.lastSequence) }, (_, i) => BigInt(i + 1)),
      );
      this.#checkFold(record, events);
      this.#checkClaims(record, events);
      const before = this.#ended.get(record.id);
      if (before !== undefined) {
        expect(record).toEqual(before);
      }
      if (hasEnded(record)) {
        this.#ended.set(record.id, record);
      }
      queued += Number(record.state === "queued");
      running += Number(record.state === "running" || record.state === "cancelling");
    }
    expect(await store.counts(never)).toEqual({ queued, running });
  }

  /** Everything but the attempt, and that it was given to a backend at all, follows from the events. */
  #checkFold(record: JobRecord, events: readonly LastingEvent[]): void {
    const { attempt: _, queueDeadline, ...kept } = record;
    let folded = { ...this.#submittedAs(record.id), state: "queued", lastSequence: 0n } as JobRecord;
    for (const event of events) {
      const isOfDriver = !["accepted", "queued", "completed", "failed"].includes(event.data.type);
      const isRequeue = event.data.type === "queued" && event.sequence > 2n;
      if (folded.state === "queued" && (isOfDriver || isRequeue || event.data.type === "completed")) {
        folded = { ...folded, state: "running" };
      }
      folded = afterEvent(folded, event);
    }
    const isClaimed = record.state === "running" && folded.state === "queued";
    expect(kept).toEqual({ ...withoutAttempt(folded), ...(isClaimed && { state: "running" }) });
  }

  /** A job is claimed anew only after it went back into the queue; and a prompt is made twice only if that is said. */
  #checkClaims({ id, state }: JobRecord, events: readonly LastingEvent[]): void {
    const claims = this.#claims.filter(({ claim }) => claim.job.id === id);
    const requeues = events.filter(({ data, sequence }) => data.type === "queued" && sequence > 2n).length;
    expect(claims.length).toBeLessThanOrEqual(requeues + 1);
    if (state === "running" || state === "cancelling") {
      expect(claims.length).toBe(requeues + 1);
    }
    const fresh = claims
      .filter(({ claim }) => !claim.isRepeat)
      .map(({ claim }) => claim.job.attempt?.promptId);
    expect(new Set(fresh).size).toBe(fresh.length);
    for (const { claim, lease } of claims) {
      expect(claim.job.attempt).toMatchObject({ backend: lease.backend, fate: "open" });
      if (claim.isRepeat) {
        expect(fresh).toContain(claim.job.attempt?.promptId);
      }
    }
  }

  #submittedAs(id: string): Partial<JobRecord> {
    const { queueDeadline: _, ...record } = this.#submitted.get(id) ?? {};
    return record;
  }

  #store(): JobStore {
    return this.#stores[this.#turn++ % 2] as JobStore;
  }

  #job(pick: number): string {
    const ids = [...this.#submitted.keys()];
    return ids[pick % ids.length] ?? "";
  }

  #lease(pick: number): Lease {
    const lease = this.#leases.at(-1 - (pick % Math.min(this.#leases.length, 4)));
    return lease ?? { backend: "gpu-0", owner: "nobody", token: 0 };
  }
}

function withoutAttempt({ attempt: _, queueDeadline: __, ...record }: JobRecord) {
  return record;
}

const happenings: readonly (readonly LastingEventData[])[] = [
  [started()],
  [nodeStarted("3"), produced(0)],
  [queuedAgain(2)],
  [completed()],
  [stopped()],
  [],
  [{ type: "cancelling", failure: buildFailure("JOB_TIMEOUT") }],
  [{ type: "failed", state: "failed", failure: buildFailure("NODE_FAILED") }],
];
