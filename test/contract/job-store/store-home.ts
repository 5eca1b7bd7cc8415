import type { Clock } from "../../../src/lib/clock.ts";
import type { AssetStore } from "../../../src/storage/asset-store.ts";
import type { JobStore } from "../../../src/storage/job-store.ts";
import { startTime } from "./job-builders.ts";

/** A place where a JobStore keeps its jobs, empty at first. Disposing of it removes it. */
export interface StoreHome extends AsyncDisposable {
  /** Opens the store; again after it was closed, or also before if the home can be shared. */
  open(clock: Clock): Promise<OpenStore>;
  /** Whether several can have it open at once. */
  readonly isShared: boolean;
}

export interface OpenStore extends AsyncDisposable {
  readonly jobs: JobStore;
  readonly assets: AssetStore;
}

/** A clock that stands still until told otherwise. */
export class TestClock implements Clock {
  #ms = startTime.getTime();

  now(): Date {
    return new Date(this.#ms);
  }

  monotonicMs(): number {
    return this.#ms;
  }

  advance(ms: number): void {
    this.#ms += ms;
  }
}

/** A store in a home of its own. */
export interface TestStore extends AsyncDisposable {
  readonly jobs: JobStore;
  /** Where the images of the jobs are. */
  readonly assets: AssetStore;
  /** Another store on the same jobs, as another replica has it; the same one where only one can be open. */
  readonly other: JobStore;
  readonly clock: TestClock;
  /** Closes all and opens it again, as after a restart of the service. */
  reopen(): Promise<JobStore>;
}

/** Opens a store, twice if it can be, in a home of its own. */
export async function openTestStore(makeHome: () => Promise<StoreHome>): Promise<TestStore> {
  await using stack = new AsyncDisposableStack();
  const home = stack.use(await makeHome());
  const clock = new TestClock();
  let opened = new AsyncDisposableStack();
  stack.defer(() => opened.disposeAsync());
  const { jobs, assets } = opened.use(await home.open(clock));
  const other = home.isShared ? opened.use(await home.open(clock)).jobs : jobs;
  const owned = stack.move();
  return {
    jobs,
    assets,
    other,
    clock,
    async reopen() {
      await opened.disposeAsync();
      opened = new AsyncDisposableStack();
      return opened.use(await home.open(clock)).jobs;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
