import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Interceptor, ServiceImpl } from "@connectrpc/connect";
import { ImageService } from "../../gen/comfyrpc/v1/image_service_pb.js";
import type { AssetRoute } from "../../src/server/asset-route.ts";
import { createHealth } from "../../src/server/health.ts";
import { type Listener, startListener } from "../../src/server/listener/listener.ts";
import type { ListenerLimits, TlsIdentity } from "../../src/server/listener/listener-options.ts";
import { createReflection } from "../../src/server/reflection.ts";
import { createRpcHandler, type Routes } from "../../src/server/rpc-handler.ts";
import { createLogger } from "../../src/telemetry/logger.ts";

/** What a test may choose about its server. */
export interface RpcServerOptions {
  readonly images?: Partial<ServiceImpl<typeof ImageService>>;
  /** More services. */
  readonly routes?: Routes;
  readonly assetRoute?: AssetRoute;
  readonly interceptors?: readonly Interceptor[];
  readonly limits?: Partial<ListenerLimits>;
  readonly tls?: TlsIdentity;
  readonly readMaxBytes?: number;
  readonly writeMaxBytes?: number;
  readonly corsOrigins?: readonly string[];
}

/** A running server with the services that its port carries, and `ImageService` as the test wants it. */
export interface RpcServer extends AsyncDisposable {
  readonly listener: Listener;
  readonly url: string;
  /** `host:port`. */
  readonly address: string;
  readonly port: number;
  /** Tells the health service that draining begins. */
  readonly draining: AbortController;
  /** Aborted by the listener. */
  readonly shutdown: AbortController;
  setReady(ready: boolean): void;
}

export async function startRpcServer(options: RpcServerOptions = {}): Promise<RpcServer> {
  const shutdown = new AbortController();
  const draining = new AbortController();
  const readiness = createSwitch(true);
  const logger = createLogger({ level: "silent" });
  const health = createHealth({
    source: readiness,
    following: [ImageService.typeName],
    constant: ["grpc.health.v1.Health"],
    draining: draining.signal,
  });
  const reflection = createReflection(await descriptorSet(), draining.signal);
  const handler = createRpcHandler({
    routes: (router) => {
      health(router);
      reflection(router);
      router.service(ImageService, options.images ?? {});
      options.routes?.(router);
    },
    interceptors: options.interceptors ?? [],
    shutdownSignal: shutdown.signal,
    readiness: () => ({
      ready: readiness.current(),
      reason: readiness.current() ? "" : "no backend is up",
    }),
    logger,
    ...(options.assetRoute && { assetRoute: options.assetRoute }),
    ...(options.corsOrigins && { corsOrigins: options.corsOrigins }),
    ...(options.readMaxBytes && { readMaxBytes: options.readMaxBytes }),
    ...(options.writeMaxBytes && { writeMaxBytes: options.writeMaxBytes }),
  });
  const listener = await startListener({
    host: "127.0.0.1",
    port: 0,
    handler,
    shutdown,
    logger,
    ...options.limits,
    ...(options.tls && { tls: options.tls }),
  });
  return {
    listener,
    url: listener.url,
    address: `127.0.0.1:${listener.port}`,
    port: listener.port,
    draining,
    shutdown,
    setReady: readiness.set,
    [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose](),
  };
}

/** A health source that is set by hand. */
export function createSwitch(initial: boolean) {
  let value = initial;
  const changes = new EventTarget();
  return {
    current: () => value,
    set(next: boolean): void {
      value = next;
      changes.dispatchEvent(new Event("change"));
    },
    async *watch(signal: AbortSignal): AsyncGenerator<boolean> {
      while (!signal.aborted) {
        const { promise, resolve } = Promise.withResolvers<void>();
        changes.addEventListener("change", () => resolve(), { once: true, signal });
        signal.addEventListener("abort", () => resolve(), { once: true });
        const seen = value;
        yield seen;
        if (seen === value) await promise;
      }
    },
  };
}

let built: Promise<Uint8Array> | undefined;

/** The schema of the project with its comments, made by buf once per test process. */
export function descriptorSet(): Promise<Uint8Array> {
  built ??= buildDescriptorSet();
  return built;
}

async function buildDescriptorSet(): Promise<Uint8Array> {
  const { stdout } = await promisify(execFile)(
    "node_modules/.bin/buf",
    ["build", "proto", "--as-file-descriptor-set", "-o", "-#format=binpb"],
    { encoding: "buffer", maxBuffer: 16 * 1024 * 1024 },
  );
  return stdout;
}
