import { setTimeout as sleep } from "node:timers/promises";
import type { PostgresServer } from "../support/postgres-server.ts";
import type { Victim } from "./victim.ts";

export interface MayhemOptions {
  readonly replicas: readonly Victim[];
  readonly engines: readonly Victim[];
  readonly database: PostgresServer;
  /** A number from 0 up to, not including, 1. */
  readonly random: () => number;
  /** Longest time for which a replica is frozen, in milliseconds: more than its leases last. */
  readonly longestFreezeMs: number;
}

/** How often each kind of harm was done. */
export type Harm = Record<
  "replica killed" | "replica frozen" | "engine killed" | "engine frozen" | "database restarted",
  number
>;

/** Does harm, one thing after another, until `signal` is aborted; then mends everything. */
export async function doMayhem(options: MayhemOptions, signal: AbortSignal): Promise<Harm> {
  const { random, database } = options;
  const harm: Harm = {
    "replica killed": 0,
    "replica frozen": 0,
    "engine killed": 0,
    "engine frozen": 0,
    "database restarted": 0,
  };
  const between = (fromMs: number, toMs: number) => fromMs + random() * (toMs - fromMs);
  const someOf = (victims: readonly Victim[]) => victims[Math.floor(random() * victims.length)];
  const kill = async (victim: Victim | undefined, kind: keyof Harm) => {
    harm[kind] += 1;
    await victim?.kill();
    await sleep(between(0, 1_500));
    await victim?.start();
  };
  const freeze = async (victim: Victim | undefined, kind: keyof Harm, timeMs: number) => {
    harm[kind] += 1;
    victim?.freeze();
    await sleep(timeMs);
    victim?.thaw();
  };
  const deeds = [
    () => kill(someOf(options.replicas), "replica killed"),
    () => kill(someOf(options.engines), "engine killed"),
    () => freeze(someOf(options.replicas), "replica frozen", between(500, options.longestFreezeMs)),
    () => freeze(someOf(options.engines), "engine frozen", between(300, 2_000)),
    async () => {
      harm["database restarted"] += 1;
      await database.restart();
    },
  ];
  // Each once in any order before any comes again, so that a short run has seen all of them.
  for (let left: (typeof deeds)[number][] = []; !signal.aborted; ) {
    left = left.length > 0 ? left : deeds.toSorted(() => random() - 0.5);
    await left.pop()?.();
    await sleep(between(200, 1_000), undefined, { signal }).catch(() => {}); // the loop ends by itself
  }
  return harm;
}
