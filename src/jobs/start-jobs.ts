import type { Engine } from "../engine/engine.ts";
import type { ImageCodec } from "../imaging/image-codec.ts";
import type { Clock } from "../lib/clock.ts";
import { Slots } from "../lib/slots.ts";
import type { AssetStore } from "../storage/asset-store.ts";
import type { BlobStore } from "../storage/blob-store.ts";
import type { EventBus } from "../storage/event-bus.ts";
import type { JobStore } from "../storage/job-store.ts";
import type { TemplateStore } from "../storage/template-store.ts";
import type { Logger } from "../telemetry/logger.ts";
import { abandonOn } from "./abandon.ts";
import { Announcer } from "./announcer.ts";
import { BackendDriver, type DriverOptions } from "./backend-driver.ts";
import { DryRunner } from "./dry-runner.ts";
import { JobFeeds } from "./job-feeds.ts";
import { JobService, type JobServiceOptions } from "./job-service.ts";
import { Keeper, type KeeperOptions } from "./keeper.ts";
import { Patience } from "./patience.ts";
import { Recorder } from "./recorder.ts";
import { RunTimes } from "./run-times.ts";
import { SpecResolver, type SpecResolverOptions } from "./spec-resolver.ts";
import { StoreWatch } from "./store-watch.ts";
import type { InputImages } from "./task-images.ts";
import { WorkflowResolver } from "./workflow-resolver.ts";

/** All times in milliseconds. */
export interface JobsOptions extends JobServiceOptions, DriverOptions, KeeperOptions, SpecResolverOptions {
  /** Longest time that a job may run on a backend. */
  readonly maxRunMs: number;
  /** Largest file that is kept of what a workflow leaves, in bytes. */
  readonly maxOutputBytes: number;
  /** Of this program, to be noted with what it finishes. */
  readonly serviceVersion: string;
  /** Whether prompts may be written to the log. */
  readonly logPrompts: boolean;
}

/** The stores and the bus are the caller's, and outlive what uses them. */
export interface JobsDependencies {
  readonly engines: readonly Engine[];
  readonly store: JobStore;
  readonly assets: AssetStore;
  readonly blobs: BlobStore;
  readonly bus: EventBus;
  readonly codec: ImageCodec;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly inputImages: InputImages;
  readonly templates: Pick<TemplateStore, "get">;
  /** Draws a seed: 0 to 2^53-1. */
  readonly randomSeed: () => bigint;
}

/**
 * Everything about jobs, at work: they can be submitted, and backends are driven. Disposing of it stops the jobs of calls
 * that have gone, leaves all others as they are for whoever drives their backends next, and waits until nothing is under
 * way.
 */
export interface Jobs extends AsyncDisposable {
  readonly service: JobService;
  readonly workflows: WorkflowResolver;
  readonly storeWatch: StoreWatch;
}

/** Each takes memory for its bytes and its pixels, and a thread that files are read with too. */
const encodedAtOnce = 2;

/** Sets everything about jobs to work. */
export function startJobs(options: JobsOptions, deps: JobsDependencies): Jobs {
  const { engines, store, assets, blobs, bus, clock, logger, inputImages, templates, randomSeed } = deps;
  const workflows = new WorkflowResolver(options, engines);
  const runTimes = new RunTimes();
  const announcer = new Announcer({ bus, logger, runTimes, logPrompts: options.logPrompts });
  const recorder = new Recorder({ store, announcer, logger });
  const feeds = new JobFeeds({ store, bus, logger, now: () => clock.now() });
  const storeWatch = new StoreWatch({ store, blobs, logger });
  const resolver = new SpecResolver(options, { engines, inputImages, templates, randomSeed });
  const abandon = abandonOn(engines);
  const service = new JobService(options, {
    engines,
    store,
    storeWatch,
    resolver,
    dryRunner: new DryRunner({ engines, resolver, store, runTimes }),
    feeds,
    announcer,
    abandon,
    clock,
    logger,
  });
  const encoding = new Slots(encodedAtOnce);
  const drivers = engines.map(
    (engine) =>
      new BackendDriver(options, {
        ...deps,
        engine,
        encoding,
        recorder,
        announcer,
        abandon,
        maxRunMs: options.maxRunMs,
        maxOutputBytes: options.maxOutputBytes,
        serviceVersion: options.serviceVersion,
      }),
  );
  const keeper = new Keeper(options, { store, assets, blobs, announcer, abandon, clock, logger });
  const patience = new Patience(options.backendDownGraceMs, {
    engines,
    store,
    attachedJobIds: () => service.attachedJobIds,
    announcer,
    abandon,
    logger,
  });

  const owned = new AsyncDisposableStack();
  owned.use(feeds);
  owned.use(recorder);
  owned.use(storeWatch);
  owned.use(keeper);
  owned.use(patience);
  owned.defer(async () => {
    await Promise.all(drivers.map((driver) => driver[Symbol.asyncDispose]()));
  });
  owned.use(service);
  return { service, workflows, storeWatch, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
