import { randomUUID } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isLasting, type JobEvent, type LastingEvent } from "../../src/domain/job-event.ts";
import type { JobRecord } from "../../src/domain/job-record.ts";
import type { JobState } from "../../src/domain/job-state.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { sharpImageCodec } from "../../src/imaging/sharp/sharp-image-codec.ts";
import type { Caller } from "../../src/jobs/caller.ts";
import type { JobService } from "../../src/jobs/job-service.ts";
import { type Jobs, type JobsOptions, startJobs } from "../../src/jobs/start-jobs.ts";
import type { StoreWatch } from "../../src/jobs/store-watch.ts";
import type { SubmitOptions } from "../../src/jobs/submit-options.ts";
import type { InputImages } from "../../src/jobs/task-images.ts";
import { type Clock, systemClock } from "../../src/lib/clock.ts";
import type { AssetStore } from "../../src/storage/asset-store.ts";
import type { BlobStore } from "../../src/storage/blob-store.ts";
import type { EventBus } from "../../src/storage/event-bus.ts";
import { openFilesystemBlobStore } from "../../src/storage/filesystem/filesystem-blob-store.ts";
import { createInProcessEventBus } from "../../src/storage/in-process/in-process-event-bus.ts";
import type { JobStore } from "../../src/storage/job-store.ts";
import { openPostgresDatabase } from "../../src/storage/sql/postgres/open-postgres.ts";
import { openSqliteDatabase } from "../../src/storage/sql/sqlite/open-sqlite.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { Faults } from "./faults.ts";
import { buildSpec } from "./generations.ts";
import { collectLog, type LogLines } from "./log-lines.ts";
import { ReplicaBus } from "./replica-bus.ts";
import { waitUntil } from "./wait-until.ts";

/** Options by which workflows may use anything but paths. */
export const openWorkflows = {
  workflowLimits: { maxBytes: 100_000, maxNodes: 100 },
  workflowPolicy: { allowedClasses: [], deniedClasses: [], allowPaths: false },
};

/** A signal that is never aborted. */
export const never = new AbortController().signal;

export const caller: Caller = { tenant: "", requestId: "call-1" };

/** A submission that says nothing beside its spec. */
export const plain: SubmitOptions = { labels: {}, note: "" };

/** A submission that can be repeated. */
export function repeatable(id: string, fingerprint = "f"): SubmitOptions {
  return { ...plain, request: { id, fingerprint } };
}

/** The clock of the machine, which can be put forward. */
export class ShiftedClock implements Clock {
  #aheadMs = 0;

  now(): Date {
    return new Date(systemClock.now().getTime() + this.#aheadMs);
  }

  monotonicMs(): number {
    return systemClock.monotonicMs() + this.#aheadMs;
  }

  advance(ms: number): void {
    this.#aheadMs += ms;
  }
}

/** Everything that is needed for jobs, at work in one process. */
export class Replica implements AsyncDisposable {
  readonly service: JobService;
  readonly storeWatch: StoreWatch;
  /** Between it and its stores. */
  readonly faults: Faults;
  /** Its end of the bus. */
  readonly bus: ReplicaBus;
  readonly log: LogLines;
  readonly #jobs: Jobs;

  constructor(jobs: Jobs, parts: Pick<Replica, "faults" | "bus" | "log">) {
    this.#jobs = jobs;
    this.service = jobs.service;
    this.storeWatch = jobs.storeWatch;
    this.faults = parts.faults;
    this.bus = parts.bus;
    this.log = parts.log;
  }

  async submit(overrides: Parameters<typeof buildSpec>[0] = {}, options = plain): Promise<JobRecord> {
    return await this.service.submit(buildSpec(overrides), options, caller, never);
  }

  /** The job as it is now. */
  async get(jobId: string): Promise<JobRecord> {
    return await this.service.get(jobId, caller, never);
  }

  /** Everything that whoever watches the job sees. */
  watch(jobId: string, after = 0n, signal = AbortSignal.timeout(20_000)): AsyncGenerator<JobEvent> {
    return this.service.watch(jobId, after, caller, signal);
  }

  /** The lasting events of a job to its last. */
  async story(jobId: string): Promise<LastingEvent[]> {
    return (await Array.fromAsync(this.watch(jobId))).filter(isLasting);
  }

  /** The job when it has ended. */
  async end(jobId: string): Promise<JobRecord> {
    await this.story(jobId);
    return await this.get(jobId);
  }

  /** Resolves with the first event of this type, which must come. */
  async hears(jobId: string, type: JobEvent["data"]["type"]): Promise<JobEvent> {
    for await (const event of this.watch(jobId)) {
      if (event.data.type === type) {
        return event;
      }
    }
    throw new Error(`the job ended without ${type}`);
  }

  /** Resolves when the job is, or has just been, in `state`. */
  async reaches(jobId: string, state: JobState): Promise<void> {
    await waitUntil(async () => (await this.get(jobId)).state === state, `the job is ${state}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#jobs[Symbol.asyncDispose]();
  }
}

/** A place where jobs are kept, in a directory that is removed at the end. Replicas are to be disposed of before it. */
export interface JobsHome extends AsyncDisposable {
  readonly clock: ShiftedClock;
  /** As they are without faults. They change when they are reopened. */
  readonly store: JobStore;
  readonly assets: AssetStore;
  readonly blobs: BlobStore;
  /** What the replicas share. */
  readonly bus: EventBus;

  /** Sets a process to work on the stores, with an owner of its own. */
  start(
    engines: Engine | readonly Engine[],
    options?: Partial<JobsOptions>,
    inputImages?: InputImages,
  ): Replica;

  /** Closes the stores and opens them anew, as after a restart of the process that had them alone. */
  reopen(): Promise<void>;

  /** Hashes of the blobs on disk. */
  blobNames(): Promise<string[]>;
}

/** @param databaseUrl of the PostgreSQL that keeps them; default: SQLite does */
export async function openJobsHome(databaseUrl?: string): Promise<JobsHome> {
  await using made = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), "comfyrpc-jobs-"));
  made.defer(() => rm(directory, { recursive: true, force: true }));
  const clock = new ShiftedClock();
  let stores = await openStores(directory, clock, databaseUrl);
  made.defer(() => stores[Symbol.asyncDispose]());
  const owned = made.move();
  return {
    clock,
    get store() {
      return stores.jobs;
    },
    get assets() {
      return stores.assets;
    },
    get blobs() {
      return stores.blobs;
    },
    get bus() {
      return stores.bus;
    },
    start: (engines, options = {}, inputImages = noImages) =>
      startReplica([engines].flat(), options, inputImages, stores, clock),
    async reopen() {
      await stores[Symbol.asyncDispose]();
      stores = await openStores(directory, clock, databaseUrl);
    },
    async blobNames() {
      const entries = await readdir(join(directory, "blobs"), { recursive: true, withFileTypes: true });
      return entries.filter((entry) => /^[0-9a-f]{64}$/.test(entry.name)).map(({ name }) => name);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** One replica in a home of its own. */
export async function startAlone(
  engines: Engine | readonly Engine[],
  options: Partial<JobsOptions> = {},
  inputImages?: InputImages,
): Promise<{ readonly home: JobsHome; readonly replica: Replica } & AsyncDisposable> {
  await using made = new AsyncDisposableStack();
  const home = made.use(await openJobsHome());
  const replica = made.use(home.start(engines, options, inputImages));
  const owned = made.move();
  return { home, replica, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

interface Stores extends AsyncDisposable {
  readonly jobs: JobStore;
  readonly assets: AssetStore;
  readonly blobs: BlobStore;
  readonly bus: EventBus;
}

async function openStores(directory: string, clock: Clock, databaseUrl?: string): Promise<Stores> {
  await using opened = new AsyncDisposableStack();
  const logger = createLogger({ level: "silent" });
  const deps = { clock, logger };
  const { jobs, assets } = opened.use(
    databaseUrl === undefined
      ? await openSqliteDatabase(join(directory, "db"), deps)
      : await openPostgresDatabase(databaseUrl, deps),
  );
  const blobs = opened.use(await openFilesystemBlobStore(join(directory, "blobs")));
  const bus = opened.use(createInProcessEventBus({ logger }));
  const owned = opened.move();
  return { jobs, assets, blobs, bus, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

const noImages: InputImages = {
  resolve: (_, field) => Promise.reject(new Error(`${field} is not for these tests`)),
};

function startReplica(
  engines: readonly Engine[],
  options: Partial<JobsOptions>,
  inputImages: InputImages,
  { jobs, assets, blobs, bus }: Stores,
  clock: Clock,
): Replica {
  const faults = new Faults();
  const replicaBus = new ReplicaBus(bus);
  const log = collectLog("debug");
  const started = startJobs(
    { ...defaults, owner: randomUUID(), ...options },
    {
      engines,
      store: faults.wrap(jobs),
      assets: faults.wrap(assets),
      blobs: faults.wrap(blobs),
      bus: replicaBus,
      codec: sharpImageCodec,
      clock,
      logger: log.logger,
      inputImages,
      templates: { get: async () => undefined },
      randomSeed: () => 7n,
    },
  );
  return new Replica(started, { faults, bus: replicaBus, log });
}

const hour = 3_600_000;

/** Nothing is too late unless a test wants it to be. */
const defaults: Omit<JobsOptions, "owner"> = {
  maxInFlight: 2,
  leaseMs: 6_000,
  undrivenMs: hour,
  maxQueued: 50,
  maxQueueMs: hour,
  maxRunMs: hour,
  backendDownGraceMs: hour,
  maxAttempts: 3,
  serviceVersion: "1.2.3",
  maxOutputBytes: 64 * 1024 * 1024,
  limits: { maxPixels: 4_194_304, maxUpscaledPixels: 33_554_432, maxSteps: 150, maxImageCount: 10 },
  defaultModel: "",
  aiMark: "off",
  logPrompts: false,
  catalogMaxAgeMs: hour,
  ...openWorkflows,
  retentionMs: hour,
  maxRetentionMs: 48 * hour,
  reconnectGraceMs: hour,
  batchLimit: 10,
  watchIntervalMs: 50,
  cleanIntervalMs: hour,
};
