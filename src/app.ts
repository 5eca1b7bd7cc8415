import { randomInt, randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { AssetService as AssetServiceSchema } from "../gen/comfyrpc/v1/asset_service_pb.js";
import { CatalogService as CatalogServiceSchema } from "../gen/comfyrpc/v1/catalog_service_pb.js";
import { ImageService } from "../gen/comfyrpc/v1/image_service_pb.js";
import { JobService as JobServiceSchema } from "../gen/comfyrpc/v1/job_service_pb.js";
import { WorkflowService as WorkflowServiceSchema } from "../gen/comfyrpc/v1/workflow_service_pb.js";
import { chooseBackends, createEngines } from "./app/backends.ts";
import {
  assetOptions,
  catalogOptions,
  fetchLimits,
  inputImageOptions,
  jobsOptions,
  listenerOptions,
  serverFacts,
} from "./app/options.ts";
import { ReadinessWatch } from "./app/readiness.ts";
import { openStores } from "./app/stores.ts";
import { createTemplateService, importConfiguredTemplates } from "./app/templates.ts";
import { AssetService } from "./assets/asset-service.ts";
import { InputImages } from "./assets/input-images.ts";
import { CatalogService } from "./catalog/catalog-service.ts";
import type { Config } from "./config/config.ts";
import { createUndiciUrlFetcher } from "./fetching/undici/undici-url-fetcher.ts";
import { sharpImageCodec } from "./imaging/sharp/sharp-image-codec.ts";
import { startJobs } from "./jobs/start-jobs.ts";
import { systemClock } from "./lib/clock.ts";
import { createAssetRoute } from "./server/asset-route.ts";
import { assetServiceRoutes } from "./server/asset-service-routes.ts";
import { catalogServiceRoutes } from "./server/catalog-service-routes.ts";
import type { HealthFacts } from "./server/convert/health.ts";
import { createHealth } from "./server/health.ts";
import { logCalls } from "./server/interceptors/log-calls.ts";
import { mapErrors } from "./server/interceptors/map-errors.ts";
import { validateRequests } from "./server/interceptors/validate.ts";
import { jobServiceRoutes } from "./server/job-service-routes.ts";
import { startListener } from "./server/listener/listener.ts";
import { createReflection } from "./server/reflection.ts";
import { generate } from "./server/rpc/generate.ts";
import { generateWithProgress } from "./server/rpc/generate-with-progress.ts";
import { health } from "./server/rpc/health.ts";
import { createRpcHandler, type Routes } from "./server/rpc-handler.ts";
import { workflowServiceRoutes } from "./server/workflow-service-routes.ts";
import type { Logger } from "./telemetry/logger.ts";
import { version } from "./version.ts";

/**
 * The running service. Disposing of it ends every call at once, stops the jobs that only those calls waited for, leaves
 * the others to whoever goes on with them, and waits until nothing is under way here.
 */
export interface Service extends AsyncDisposable {
  /** Where a client on this machine reaches it. */
  readonly url: string;
  readonly port: number;
  /** Whether it draws with the built-in engine that it has started itself, for want of a ComfyUI. */
  readonly startedBuiltInEngine: boolean;

  /** Resolves when the service can draw. */
  ready(signal: AbortSignal): Promise<void>;

  /**
   * Takes no more calls, lets those that run end within `graceMs`, then ends them. Aborting `signal` ends the grace
   * time.
   */
  drain(graceMs: number, signal: AbortSignal): Promise<void>;
}

/**
 * Starts the service that `config` describes. A backend that is down is no hindrance: the service is then live, not
 * ready, and becomes ready when the backend comes up.
 *
 * @throws Error if the stores or the port cannot be opened, or a template file cannot be used; whatever was opened before is closed
 */
export async function startService(config: Config, logger: Logger): Promise<Service> {
  await using opened = new AsyncDisposableStack();
  const startMs = systemClock.monotonicMs();
  const stores = await openStores(config, logger, opened);
  await importConfiguredTemplates(config, stores.templates, logger);
  const chosen = await chooseBackends(config, logger, opened);
  const engines = createEngines(config, chosen, logger, opened);
  const assets = new AssetService(assetOptions(config), {
    assets: stores.assets,
    blobs: stores.blobs,
    codec: sharpImageCodec,
    clock: systemClock,
  });
  const limits = fetchLimits(config);
  const inputImages = new InputImages(inputImageOptions(config), {
    assetService: assets,
    assets: stores.assets,
    blobs: stores.blobs,
    codec: sharpImageCodec,
    clock: systemClock,
    ...(limits && { fetcher: createUndiciUrlFetcher(limits) }),
  });
  const jobs = opened.use(
    startJobs(jobsOptions(config, randomUUID()), {
      engines,
      store: stores.jobs,
      templates: stores.templates,
      assets: stores.assets,
      blobs: stores.blobs,
      bus: stores.bus,
      codec: sharpImageCodec,
      clock: systemClock,
      logger,
      inputImages,
      randomSeed: () => BigInt(randomInt(2 ** 32)) * 2n ** 21n + BigInt(randomInt(2 ** 21)),
    }),
  );

  const draining = new AbortController();
  const shutdown = new AbortController();
  const readiness = new ReadinessWatch(engines, jobs.storeWatch, draining.signal);
  const backends = () => engines.map((engine) => ({ name: engine.name, health: engine.health() }));
  const facts = (): HealthFacts => ({
    ...readiness.current(),
    version,
    uptimeMs: systemClock.monotonicMs() - startMs,
    queuedCount: jobs.storeWatch.counts.queued,
    runningCount: jobs.storeWatch.counts.running,
    backends: backends(),
  });
  const { service } = jobs;
  const { blobs } = stores;
  const handler = createRpcHandler({
    routes: joined([
      (router) =>
        router.service(ImageService, {
          generate: generate({ jobs: service, blobs }),
          generateWithProgress: generateWithProgress({ jobs: service, blobs }),
          health: health(facts),
        }),
      jobServiceRoutes({ jobs: service, blobs }),
      assetServiceRoutes({ assets }),
      catalogServiceRoutes({
        catalog: new CatalogService(catalogOptions, { engines }),
        serverFacts: serverFacts(config, version),
        backends,
      }),
      workflowServiceRoutes({
        jobs: service,
        workflows: jobs.workflows,
        templates: createTemplateService(config, stores.templates, engines),
      }),
      createHealth({
        source: {
          current: () => readiness.current().ready,
          watch: (signal) => readiness.watch(signal),
        },
        following: [
          ImageService.typeName,
          JobServiceSchema.typeName,
          AssetServiceSchema.typeName,
          CatalogServiceSchema.typeName,
          WorkflowServiceSchema.typeName,
        ],
        constant: standardServices,
        draining: draining.signal,
      }),
      createReflection(await readFile(descriptorSetFile), draining.signal),
    ]),
    interceptors: [logCalls(logger, systemClock), mapErrors(logger), validateRequests()],
    assetRoute: createAssetRoute({ linksOnly: config.signedLinksOnly, assets, logger, clock: systemClock }),
    shutdownSignal: shutdown.signal,
    readiness: () => readiness.current(),
    logger,
    corsOrigins: config.corsOrigins,
    readMaxBytes: config.maxRequestBytes,
  });
  const listener = opened.use(await startListener({ ...listenerOptions(config), handler, shutdown, logger }));
  opened.defer(() => draining.abort());
  logger.info({ url: listener.url, version, builtInEngine: chosen.isOwnEngine }, "serving");

  const owned = opened.move();
  return {
    url: listener.url,
    port: listener.port,
    startedBuiltInEngine: chosen.isOwnEngine,
    ready: (signal) => readiness.untilReady(signal),
    drain: async (graceMs, signal) => {
      draining.abort();
      service.close();
      await listener.drain(graceMs, signal);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Services that work as long as the process does. */
const standardServices = [
  "grpc.health.v1.Health",
  "grpc.reflection.v1.ServerReflection",
  "grpc.reflection.v1alpha.ServerReflection",
];

const descriptorSetFile = new URL("../gen/descriptors.binpb", import.meta.url);

function joined(routes: readonly Routes[]): Routes {
  return (router) => {
    for (const register of routes) {
      register(router);
    }
  };
}
