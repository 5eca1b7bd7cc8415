import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { RunControl } from "./run-control.ts";

function setUp() {
  const lifetime = new AbortController();
  const seen = { changes: 0 };
  const control = new RunControl(lifetime.signal, () => {
    seen.changes++;
  });
  return { control, lifetime, seen };
}

describe("RunControl", () => {
  it("goes from wanted to stopped to left, and tells of each change once", () => {
    const { control, seen } = setUp();
    expect(control).toMatchObject({ wanted: true, stopped: false, left: false });
    control.stop();
    control.stop();
    expect(control).toMatchObject({ wanted: false, stopped: true, left: false });
    expect(control.giveUp.aborted).toBe(false);
    control.leave();
    control.leave();
    expect(control).toMatchObject({ wanted: false, left: true });
    expect(control.giveUp.aborted).toBe(true);
    expect(seen.changes).toBe(2);
  });

  it("is not stopped once it is left", () => {
    const { control, seen } = setUp();
    control.leave();
    control.stop();
    expect(control).toMatchObject({ stopped: false, left: true });
    expect(seen.changes).toBe(1);
  });

  it("gives up, but is not left, at the end of the engine", () => {
    const { control, lifetime } = setUp();
    const asking = control.untilStop();
    lifetime.abort();
    expect(control).toMatchObject({ wanted: false, left: false });
    expect(asking.aborted).toBe(true);
  });

  it("cuts short by a stop what began before, and not what begins after", () => {
    const { control } = setUp();
    const before = control.untilStop();
    control.stop();
    const after = control.untilStop();
    expect([before.aborted, after.aborted]).toEqual([true, false]);
    control.leave();
    expect(after.aborted).toBe(true);
  });

  it.each(["stop", "leave"] as const)("is patient for a while after a %s", async (change) => {
    const { control } = setUp();
    using patience = control.patient(5);
    control[change]();
    expect(patience.signal.aborted).toBe(false);
    await once(patience.signal, "abort");
  });

  it("is patient for a while also with what begins after a stop", async () => {
    const { control } = setUp();
    control.stop();
    using patience = control.patient(5);
    await once(patience.signal, "abort");
  });

  it("follows its caller's signals until it is told not to", () => {
    const { control } = setUp();
    const cancel = new AbortController();
    const leave = new AbortController();
    control.follow({ cancel: cancel.signal, leave: leave.signal })[Symbol.dispose]();
    cancel.abort();
    leave.abort();
    expect(control.wanted).toBe(true);
    using _following = control.follow({ cancel: cancel.signal, leave: leave.signal });
    expect(control).toMatchObject({ stopped: false, left: true });
  });
});
