import { ServiceError } from "../../src/domain/errors.ts";
import type { AssetStore } from "../../src/storage/asset-store.ts";
import type { BlobStore } from "../../src/storage/blob-store.ts";
import type { JobStore } from "../../src/storage/job-store.ts";

export type StoreMethod = keyof JobStore | keyof AssetStore | Exclude<keyof BlobStore, "read" | symbol>;

/** Calls, or answers, that do not come through. */
export interface Hold {
  /** Resolves when the first of them has come. */
  readonly reached: Promise<void>;
  /** Lets them through, and all later ones. */
  release(): void;
}

/** What goes wrong between a replica and its stores. Everything goes well until told otherwise. */
export class Faults {
  /** Names of the methods that were called, in order. */
  readonly calls: StoreMethod[] = [];
  readonly #lost: StoreMethod[] = [];
  readonly #impossible: { readonly method: StoreMethod; readonly when: (args: unknown) => boolean }[] = [];
  readonly #holds = new Map<string, Gate>();
  #broken: readonly StoreMethod[] | "all" = [];

  /** The store, with these faults. */
  wrap<T extends object>(store: T): T {
    return new Proxy(store, {
      get: (_, name) => {
        const member: unknown = Reflect.get(store, name);
        if (typeof member !== "function") {
          return member;
        }
        const call = (...args: unknown[]): unknown => Reflect.apply(member, store, args);
        return typeof name === "symbol" || name === "read"
          ? call
          : (...args: unknown[]) =>
              orAborted(
                this.#call(name as StoreMethod, args, () => call(...args)),
                args.at(-1),
              );
      },
    });
  }

  /** The stores are out of order until {@link mend}; or only these methods are. */
  break(...methods: readonly StoreMethod[]): void {
    this.#broken = methods.length === 0 ? "all" : methods;
  }

  mend(): void {
    this.#broken = [];
  }

  /** The next call of `method` is done, but who called is told that the store is out of order. */
  loseAnswer(method: StoreMethod): void {
    this.#lost.push(method);
  }

  /** Calls of `method` fail whose arguments are like that, and by no fault of the store. */
  makeImpossible(method: StoreMethod, when: (args: unknown) => boolean): void {
    this.#impossible.push({ method, when });
  }

  /** Calls of `method` do not arrive until they are released. */
  hold(method: StoreMethod): Hold {
    return this.#hold(`call of ${method}`);
  }

  /** Calls of `method` are done, but the answers do not arrive until they are released. */
  holdAnswers(method: StoreMethod): Hold {
    return this.#hold(`answer of ${method}`);
  }

  #hold(what: string): Hold {
    const gate = { reached: Promise.withResolvers<void>(), released: Promise.withResolvers<void>() };
    this.#holds.set(what, gate);
    return {
      reached: gate.reached.promise,
      release: () => {
        this.#holds.delete(what);
        gate.released.resolve();
      },
    };
  }

  async #call(method: StoreMethod, args: readonly unknown[], work: () => unknown): Promise<unknown> {
    this.calls.push(method);
    await this.#pass(`call of ${method}`);
    if (this.#broken === "all" || this.#broken.includes(method)) {
      throw outOfOrder();
    }
    if (this.#impossible.some((one) => one.method === method && one.when(args))) {
      throw new Error("this cannot be done");
    }
    const answer = await work();
    const lost = this.#lost.indexOf(method);
    if (lost !== -1) {
      this.#lost.splice(lost, 1);
      throw outOfOrder();
    }
    await this.#pass(`answer of ${method}`);
    return answer;
  }

  async #pass(what: string): Promise<void> {
    const gate = this.#holds.get(what);
    gate?.reached.resolve();
    await gate?.released.promise;
  }
}

interface Gate {
  readonly reached: PromiseWithResolvers<void>;
  readonly released: PromiseWithResolvers<void>;
}

/** Aborting the signal ends the waiting, as it does for the real stores. */
async function orAborted(answer: Promise<unknown>, signal: unknown): Promise<unknown> {
  if (!(signal instanceof AbortSignal)) {
    return await answer;
  }
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([answer, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function outOfOrder(): ServiceError {
  return new ServiceError("STORE_UNAVAILABLE", "the store is out of order, as the test wants it");
}
