import { once } from "node:events";
import type { Server } from "node:http";
import type { Logger } from "../../telemetry/logger.ts";
import { NodeCache } from "./cache.ts";
import { Executor } from "./execute.ts";
import { FaultPlan } from "./faults.ts";
import { openFileStore } from "./files.ts";
import { Gate } from "./gate.ts";
import { History } from "./history.ts";
import { catalogRoutes } from "./http/catalog-routes.ts";
import { faultRoutes } from "./http/fault-routes.ts";
import { historyRoutes } from "./http/history-routes.ts";
import { jobsRoutes } from "./http/jobs-routes.ts";
import { promptRoutes } from "./http/prompt-routes.ts";
import { queueRoutes } from "./http/queue-routes.ts";
import { createHttpServer } from "./http/server.ts";
import { features, systemRoutes } from "./http/system-routes.ts";
import { uploadRoutes } from "./http/upload-routes.ts";
import { viewRoutes } from "./http/view-routes.ts";
import type { JsonObject } from "./json.ts";
import { createModelCatalog } from "./models.ts";
import type { Surroundings } from "./nodes/node.ts";
import { nodeClasses } from "./nodes/registry.ts";
import { PromptQueue } from "./queue.ts";
import { SocketHub } from "./sockets.ts";
import { type StrikeTargets, strikeAt, strikeNow } from "./strike.ts";
import { Worker } from "./worker.ts";

/** How the engine behaves. Durations may be fractions. */
export interface DemoEngineOptions {
  /** Address to listen on. Default: `127.0.0.1`. */
  readonly host?: string;
  /** Port to listen on; 0: any that is free. Default: 0. */
  readonly port?: number;
  /** Duration of a sampling step in milliseconds; 0: as fast as it goes. Default: 40. */
  readonly stepMs?: number;
  /** Duration of loading a checkpoint that is not in memory, in milliseconds. Default: 0. */
  readonly loadMs?: number;
  /** How previews are made unless a prompt says otherwise, as ComfyUI's `--preview-method`. Default: `auto`. */
  readonly previewMethod?: "none" | "auto" | "latent2rgb" | "taesd";
  /** Where pictures are saved; made if it is not there. Default: a temporary directory, removed on dispose. */
  readonly outputDirectory?: string;
  readonly logger: Logger;
}

/**
 * A server that speaks ComfyUI's protocol and draws pictures by rules instead of a diffusion model, and says so (see
 * `identity`). Disposing of it ends everything at once: connections, the running prompt, temporary files.
 */
export interface DemoEngine extends AsyncDisposable {
  /** `http://127.0.0.1:8188` */
  readonly url: string;
  readonly port: number;
  /** Where faults are ordered; `POST /demo/faults` takes the same. */
  readonly faults: FaultPlan;
}

/**
 * Starts the engine, and returns when it listens. Aborting `signal` while it starts makes it fail; later it has no
 * effect.
 *
 * @throws Error of Node's `listen`, such as `EADDRINUSE`
 */
export async function startDemoEngine(options: DemoEngineOptions, signal?: AbortSignal): Promise<DemoEngine> {
  await using stack = new AsyncDisposableStack();
  const { logger } = options;
  const files = stack.use(await openFileStore(options.outputDirectory));
  const parts = assemble(options, { files, models: createModelCatalog() });
  stack.use(parts.worker);
  stack.defer(() => close(parts.server));
  stack.defer(() => parts.sockets.drop());
  // A worker that stands still would not end.
  stack.defer(() => parts.faults.clear());
  const host = options.host ?? "127.0.0.1";
  const port = await listen(parts.server, host, options.port ?? 0, signal);
  const url = `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
  logger.info({ url }, "the built-in engine listens: it draws by rules, it is no diffusion model");
  const owned = stack.move();
  return { url, port, faults: parts.faults, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Makes the parts and joins them. Nothing listens or runs yet. */
function assemble(options: DemoEngineOptions, surroundings: Surroundings): Parts {
  const { logger, stepMs = 40, loadMs = 0, previewMethod = "auto" } = options;
  const gate = new Gate();
  const history = new History();
  const queue: PromptQueue = new PromptQueue(() =>
    sockets.send(undefined, () => JSON.stringify(statusFrame(queue))),
  );
  const sockets: SocketHub = new SocketHub({
    features,
    greet: (clientId) => greeting(clientId, queue, executor),
    logger,
  });
  const faults: FaultPlan = new FaultPlan((fault) => strikeNow(fault, targets));
  const executor: Executor = new Executor({
    ...surroundings,
    classes: nodeClasses,
    cache: new NodeCache(),
    strike: (point, clientId, signal) => strikeAt(point, clientId, faults, targets, signal),
    stepMs,
    loadMs,
    previewMethod,
    logger,
  });
  const { interrupt } = executor;
  const worker = new Worker({ queue, history, executor, sockets, faults, logger });
  const server = createHttpServer({
    routes: [
      ...promptRoutes({ queue, classes: nodeClasses, surroundings, faults, onQueued: () => worker.wake() }),
      ...queueRoutes({ queue, interrupt, free: (request) => worker.free(request) }),
      ...historyRoutes(history),
      ...jobsRoutes({ queue, history, interrupt }),
      ...viewRoutes({ files: surroundings.files, history, faults }),
      ...uploadRoutes(surroundings.files),
      ...catalogRoutes(nodeClasses, surroundings),
      ...systemRoutes(previewMethod),
      ...faultRoutes(faults, gate),
    ],
    gate,
    onSocket: (socket, wire, clientId) => sockets.attach(socket, wire, clientId),
    logger,
  });
  const restart = () => {
    worker.abandon();
    queue.reset();
    history.clear();
    executor.dropCache();
    executor.unloadModels();
    sockets.drop();
    server.closeAllConnections();
    surroundings.files
      .clearTemp()
      .catch((error: unknown) => logger.error({ err: error }, "temporary files stay"));
  };
  const targets: StrikeTargets = { sockets, gate, interrupt, restart };
  return { server, worker, sockets, faults };
}

interface Parts {
  readonly server: Server;
  readonly worker: Worker;
  readonly sockets: SocketHub;
  readonly faults: FaultPlan;
}

function statusFrame(queue: PromptQueue, sid?: string): JsonObject {
  const status = { exec_info: { queue_remaining: queue.remaining } };
  return { type: "status", data: sid === undefined ? { status } : { status, sid } };
}

/** What a new connection is told: the state of the queue, and its own node, if its prompt is the one that runs. */
function greeting(clientId: string, queue: PromptQueue, executor: Executor): readonly JsonObject[] {
  const current = executor.current;
  const node = current?.clientId === clientId ? [{ type: "executing", data: { node: current.nodeId } }] : [];
  return [statusFrame(queue, clientId), ...node];
}

async function listen(
  server: Server,
  host: string,
  port: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  signal?.throwIfAborted();
  server.listen(port, host);
  await once(server, "listening", signal ? { signal } : {});
  const address = server.address();
  if (address === null || typeof address === "string") {
    throw new Error("the engine listens on no port");
  }
  return address.port;
}

async function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await closed;
}
