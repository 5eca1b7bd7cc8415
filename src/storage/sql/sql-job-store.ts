import type { JobStore } from "../job-store.ts";
import type { DatabaseDeps } from "./database-deps.ts";
import { JobInputReader } from "./job-inputs.ts";
import { adopt, claim } from "./jobs/claim.ts";
import { readEvents } from "./jobs/events.ts";
import { acquireLease, releaseLease, renewLease } from "./jobs/leases.ts";
import { list } from "./jobs/list.ts";
import { findReusable, get, getBatch } from "./jobs/queries.ts";
import { counts, placesOf } from "./jobs/queue.ts";
import { record } from "./jobs/record.ts";
import { remove, removeExpired } from "./jobs/remove.ts";
import { findRepeat } from "./jobs/repeat.ts";
import { attach, detach, stop } from "./jobs/stop.ts";
import { submit } from "./jobs/submit.ts";
import { expireQueued, failAttached, rescueUndriven } from "./jobs/upkeep.ts";
import type { SqlAccess } from "./sql-access.ts";
import type { JobContext } from "./stored-jobs.ts";

/** A JobStore on a database whose schema is up to date. Owns nothing. */
export function createSqlJobStore(access: SqlAccess, { clock, logger }: DatabaseDeps): JobStore {
  const context: JobContext = { access, clock, logger, inputs: new JobInputReader() };
  return {
    check: (...args) => check(context, ...args),
    submit: (...args) => submit(context, ...args),
    findRepeat: (...args) => findRepeat(context, ...args),
    get: (...args) => get(context, ...args),
    list: (...args) => list(context, ...args),
    getBatch: (...args) => getBatch(context, ...args),
    readEvents: (...args) => readEvents(context, ...args),
    findReusable: (...args) => findReusable(context, ...args),
    placesOf: (...args) => placesOf(context, ...args),
    counts: (...args) => counts(context, ...args),
    attach: (...args) => attach(context, ...args),
    detach: (...args) => detach(context, ...args),
    stop: (...args) => stop(context, ...args),
    remove: (...args) => remove(context, ...args),
    acquireLease: (...args) => acquireLease(context, ...args),
    renewLease: (...args) => renewLease(context, ...args),
    releaseLease: (...args) => releaseLease(context, ...args),
    claim: (...args) => claim(context, ...args),
    adopt: (...args) => adopt(context, ...args),
    record: (...args) => record(context, ...args),
    expireQueued: (...args) => expireQueued(context, ...args),
    failAttached: (...args) => failAttached(context, ...args),
    rescueUndriven: (...args) => rescueUndriven(context, ...args),
    removeExpired: (...args) => removeExpired(context, ...args),
  };
}

/** `JobStore.check`: only a write tells that the disk is not full, and that this is no standby. */
async function check({ access: { transact }, clock }: JobContext, signal: AbortSignal): Promise<void> {
  await transact(
    (db) =>
      db
        .insertInto("write_checks")
        .values({ id: 1, check_time: clock.now().getTime() })
        .onConflict((conflict) =>
          conflict.column("id").doUpdateSet((eb) => ({ check_time: eb.ref("excluded.check_time") })),
        )
        .execute(),
    signal,
  );
}
