import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { resumed } from "./resumed.ts";
import { RpcError, type RpcErrorDetails } from "./rpc-error.ts";

const signal = AbortSignal.timeout(20_000);

function failure(code: status, details: Partial<RpcErrorDetails> = {}, message = "no"): RpcError {
  const none = { reason: undefined, domain: undefined, metadata: {}, violations: [], nodes: [] };
  return new RpcError(code, message, { ...none, retryAfterMs: undefined, ...details });
}

/** Streams that bring what is said before they fail, one after the other; the one after the last just ends. */
function streams(...acts: readonly { readonly items: readonly number[]; readonly error: Error }[]) {
  let next = 0;
  return async function* () {
    const act = acts[next++];
    yield* act?.items ?? [];
    if (act) throw act.error;
  };
}

async function collect(items: AsyncIterable<number>): Promise<number[]> {
  const all: number[] = [];
  for await (const item of items) all.push(item);
  return all;
}

describe("resumed", () => {
  it.each([
    failure(status.UNAVAILABLE),
    failure(status.UNAVAILABLE, { reason: "SHUTTING_DOWN" }),
    failure(status.CANCELLED),
    failure(status.INTERNAL, {}, "Received RST_STREAM with code 2"),
  ])("opens the next stream after %s", async (error) => {
    const lost: RpcError[] = [];
    const open = streams({ items: [1, 2], error }, { items: [3], error });
    expect(await collect(resumed(open, { onLost: (reason) => lost.push(reason) }, signal))).toEqual([
      1, 2, 3,
    ]);
    expect(lost).toEqual([error, error]);
  });

  it.each([
    failure(status.NOT_FOUND, { reason: "JOB_NOT_FOUND" }),
    failure(status.CANCELLED, { reason: "CANCELLED_BY_REQUEST" }),
    failure(status.INTERNAL),
    new Error("a fault"),
  ])("passes on %s", async (error) => {
    const open = streams({ items: [1], error });
    await expect(collect(resumed(open, { onLost: () => {} }, signal))).rejects.toBe(error);
  });

  it("tells of a loss once, however often it tries in vain", async () => {
    let lostCount = 0;
    const error = failure(status.UNAVAILABLE);
    const open = streams({ items: [1], error }, { items: [], error }, { items: [2], error });
    await collect(resumed(open, { onLost: () => lostCount++ }, signal));
    expect(lostCount).toBe(2);
  });

  it("gives up after so many streams that brought nothing", async () => {
    const error = failure(status.UNAVAILABLE);
    const open = streams({ items: [1], error }, { items: [], error }, { items: [2], error });
    const policy = { onLost: () => {}, maxFailures: 2 };
    const seen: number[] = [];
    const consume = async () => {
      for await (const item of resumed(open, policy, signal)) seen.push(item);
    };
    await expect(consume()).rejects.toBe(error);
    expect(seen).toEqual([1]);
  });

  it("stops waiting when aborted", async () => {
    const abort = new AbortController();
    const error = failure(status.UNAVAILABLE, { retryAfterMs: 1_000_000 });
    const open = async function* (): AsyncGenerator<number> {
      if (abort.signal.aborted) throw failure(status.CANCELLED);
      yield 1;
      throw error;
    };
    const stop = () => void setImmediate(() => abort.abort());
    const items = resumed(open, { onLost: stop }, abort.signal);
    await expect(collect(items)).rejects.toMatchObject({ code: status.CANCELLED });
  });
});
