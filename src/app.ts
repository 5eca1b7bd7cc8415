import { randomInt } from "node:crypto";
import { readFile } from "node:fs/promises";
import { request } from "undici";
import { ImageService } from "../gen/comfyrpc/v1/image_service_pb.js";
import type { Config } from "./config/config.ts";
import { createComfyUiEngine } from "./engine/comfyui/comfyui-engine.ts";
import { startDemoEngine } from "./engine/demo/demo-engine.ts";
import { type Engine, isUsable } from "./engine/engine.ts";
import { sharpImageCodec } from "./imaging/sharp/sharp-image-codec.ts";
import { JobService } from "./jobs/job-service.ts";
import { systemClock } from "./lib/clock.ts";
import type { HealthFacts } from "./server/convert.ts";
import { createHealth } from "./server/health.ts";
import { logCalls } from "./server/interceptors/log-calls.ts";
import { mapErrors } from "./server/interceptors/map-errors.ts";
import { validateRequests } from "./server/interceptors/validate.ts";
import { startListener } from "./server/listener/listener.ts";
import type { Readiness } from "./server/probes.ts";
import { createReflection } from "./server/reflection.ts";
import { generate } from "./server/rpc/generate.ts";
import { generateWithProgress } from "./server/rpc/generate-with-progress.ts";
import { health } from "./server/rpc/health.ts";
import { createRpcHandler, type Routes } from "./server/rpc-handler.ts";
import { openTemporaryBlobStore } from "./storage/filesystem/filesystem-blob-store.ts";
import { createMemoryFirstBlobStore } from "./storage/memory-first/memory-first-blob-store.ts";
import type { Logger } from "./telemetry/logger.ts";
import { version } from "./version.ts";

/** The running service. Disposing of it ends every call and job at once, and waits until nothing is left. */
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
 * @throws Error if the port cannot be opened; whatever was opened before is closed
 */
export async function startService(config: Config, logger: Logger): Promise<Service> {
  await using opened = new AsyncDisposableStack();
  const startMs = systemClock.monotonicMs();
  const files = opened.use(await openTemporaryBlobStore(config.tempDirectory));
  const blobs = opened.use(createMemoryFirstBlobStore(files, memoryForImages));
  const backend = await chooseBackend(config, logger, opened);
  const engine = createEngine(config, backend, logger);
  const jobs = new JobService(jobOptions(config), {
    engine,
    blobs,
    codec: sharpImageCodec,
    clock: systemClock,
    logger,
    maxRunMs: config.maxRunSeconds * 1_000,
    randomSeed: () => BigInt(randomInt(2 ** 32)) * 2n ** 21n + BigInt(randomInt(2 ** 21)),
  });
  // Together: the engine bounds how long its prompts take to be cancelled when it is disposed of.
  opened.defer(async () => {
    await Promise.all([jobs[Symbol.asyncDispose](), engine[Symbol.asyncDispose]()]);
  });

  const draining = new AbortController();
  const shutdown = new AbortController();
  const facts = (): HealthFacts => ({
    ready: readinessOf(engine, draining.signal).ready,
    version,
    uptimeMs: systemClock.monotonicMs() - startMs,
    queuedCount: jobs.queuedCount,
    runningCount: jobs.runningCount,
    backends: [{ name: engine.name, health: engine.health() }],
  });
  const handler = createRpcHandler({
    routes: joined([
      (router) =>
        router.service(ImageService, {
          generate: generate({ jobs, blobs }),
          generateWithProgress: generateWithProgress({ jobs, blobs }),
          health: health(facts),
        }),
      createHealth({
        source: { current: () => isUsable(engine.health()), watch: (signal) => usability(engine, signal) },
        following: [ImageService.typeName],
        constant: standardServices,
        draining: draining.signal,
      }),
      createReflection(await readFile(descriptorSetFile), draining.signal),
    ]),
    interceptors: [logCalls(logger, systemClock), mapErrors(logger), validateRequests()],
    shutdownSignal: shutdown.signal,
    readiness: () => readinessOf(engine, draining.signal),
    logger,
    corsOrigins: config.corsOrigins,
    readMaxBytes: config.maxRequestBytes,
  });
  const { tls } = config.files;
  const listener = opened.use(
    await startListener({
      host: config.host,
      port: config.port,
      ...(tls && { tls: { certificate: tls.cert, privateKey: tls.key } }),
      handler,
      shutdown,
      logger,
      maxHeaderBytes: config.maxHeaderBytes,
      maxConcurrentStreams: config.maxStreamsPerConnection,
      stalledStreamTimeoutMs: config.stalledStreamSeconds * 1_000,
      pingIntervalMs: config.pingSeconds * 1_000,
      maxSessionAgeMs: config.maxConnectionAgeSeconds * 1_000,
    }),
  );
  opened.defer(() => draining.abort());
  logger.info({ url: listener.url, version, builtInEngine: backend.isOwnEngine }, "serving");

  const owned = opened.move();
  return {
    url: listener.url,
    port: listener.port,
    startedBuiltInEngine: backend.isOwnEngine,
    ready: (signal) => untilUsable(engine, signal),
    drain: async (graceMs, signal) => {
      draining.abort();
      jobs.close();
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

/** Images beyond these bounds wait for their reader in files. */
const memoryForImages = { maxBlobBytes: 4 * 1024 * 1024, budgetBytes: 64 * 1024 * 1024 };

/** Where ComfyUI listens unless told otherwise. */
const usualComfyUiUrl = "http://127.0.0.1:8188";

interface ChosenBackend {
  readonly url: string;
  readonly isOwnEngine: boolean;
}

/** The configured ComfyUI; else one at the usual place; else the built-in engine, started here. */
async function chooseBackend(
  config: Config,
  logger: Logger,
  opened: AsyncDisposableStack,
): Promise<ChosenBackend> {
  if (config.comfyUiUrl !== undefined) {
    return { url: config.comfyUiUrl, isOwnEngine: false };
  }
  if (await answersAsComfyUi(usualComfyUiUrl)) {
    logger.info({ url: usualComfyUiUrl }, "COMFYUI_URL is not set; found a ComfyUI at its usual place");
    return { url: usualComfyUiUrl, isOwnEngine: false };
  }
  const engine = opened.use(
    await startDemoEngine({ host: "127.0.0.1", port: 0, stepMs: config.engineStepMs, logger }),
  );
  logger.warn(
    { url: engine.url },
    "COMFYUI_URL is not set and no ComfyUI answers at its usual place: drawing with the built-in engine, which is not a diffusion model",
  );
  return { url: engine.url, isOwnEngine: true };
}

async function answersAsComfyUi(url: string): Promise<boolean> {
  try {
    const { statusCode, body } = await request(new URL("/api/system_stats", url), {
      signal: AbortSignal.timeout(1_000),
    });
    await body.dump();
    return statusCode === 200;
  } catch {
    return false; // refused, silent, or no HTTP: whatever is there, it is no ComfyUI
  }
}

function createEngine(config: Config, backend: ChosenBackend, logger: Logger): Engine {
  const { comfyUiUser: user, comfyUiPassword: password, comfyUiToken: bearer } = config;
  const stepSilenceMs = config.comfyUiStallSeconds * 1_000;
  return createComfyUiEngine(
    {
      name: backend.isOwnEngine ? "built-in" : "comfyui",
      baseUrl: backend.url,
      headers: config.comfyUiHeaders,
      ...(user !== undefined && password !== undefined && { auth: { basic: { user, password } } }),
      ...(bearer !== undefined && { auth: { bearer } }),
      ...(config.files.comfyUiCa !== undefined && { tls: { ca: config.files.comfyUiCa } }),
      stepSilenceMs,
      loadingSilenceMs: 5 * stepSilenceMs,
      pendingSilenceMs: Math.min(60_000, stepSilenceMs),
      lostAfterMs: config.comfyUiLostSeconds * 1_000,
    },
    { logger, random: Math.random },
  );
}

function jobOptions(config: Config) {
  return {
    maxInFlight: config.comfyUiMaxInFlight,
    maxQueued: config.maxQueued,
    maxQueueMs: config.maxQueueSeconds * 1_000,
    backendDownGraceMs: config.comfyUiLostSeconds * 1_000,
    maxAttempts: 3,
    limits: { maxPixels: config.maxPixels, maxSteps: config.maxSteps, maxImageCount: config.maxImages },
    defaultModel: config.defaultModel,
    logPrompts: config.logPrompts,
    // An unknown name asks anew at once, so that only removed files are noticed late.
    catalogMaxAgeMs: 600_000,
  };
}

function joined(routes: readonly Routes[]): Routes {
  return (router) => {
    for (const register of routes) {
      register(router);
    }
  };
}

function readinessOf(engine: Engine, draining: AbortSignal): Readiness {
  if (draining.aborted) {
    return { ready: false, reason: "shutting down" };
  }
  const health = engine.health();
  return isUsable(health)
    ? { ready: true, reason: "" }
    : { ready: false, reason: health.reason || `backend ${health.state}` };
}

async function* usability(engine: Engine, signal: AbortSignal): AsyncGenerator<boolean> {
  for await (const engineHealth of engine.watchHealth(signal)) {
    yield isUsable(engineHealth);
  }
}

async function untilUsable(engine: Engine, signal: AbortSignal): Promise<void> {
  for await (const usable of usability(engine, signal)) {
    if (usable) {
      return;
    }
  }
  signal.throwIfAborted();
}
