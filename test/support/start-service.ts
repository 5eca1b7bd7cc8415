import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Service, startService } from "../../src/app.ts";
import { readConfig } from "../../src/config/config.ts";
import {
  type DemoEngine,
  type DemoEngineOptions,
  startDemoEngine,
} from "../../src/engine/demo/demo-engine.ts";
import { createLogger, type Logger } from "../../src/telemetry/logger.ts";

/** A service with a built-in engine as its backend, both on ports of their own. Dispose of it. */
export interface ServiceFixture extends AsyncDisposable {
  readonly engine: DemoEngine;
  readonly service: Service;
  readonly url: string;
  /** Where the service keeps jobs and images. */
  readonly dataDirectory: string;
}

export interface ServiceFixtureOptions {
  readonly engine?: Partial<DemoEngineOptions>;
  /** Environment variables, as an operator would set them. */
  readonly env?: Readonly<Record<string, string>>;
  readonly logger?: Logger;
}

/** Starts both and waits until the service can draw. The engine takes no time for a step unless told otherwise. */
export async function startServiceFixture(options: ServiceFixtureOptions = {}): Promise<ServiceFixture> {
  await using opened = new AsyncDisposableStack();
  const logger = options.logger ?? createLogger({ level: "silent" });
  const engine = opened.use(
    await startDemoEngine({ host: "127.0.0.1", port: 0, stepMs: 0, logger, ...options.engine }),
  );
  const data = opened.use(await mkdtempDisposable(join(tmpdir(), "comfyrpc-test-")));
  const config = readConfig({
    COMFYUI_URL: engine.url,
    COMFYRPC_PORT: "0",
    COMFYRPC_DATA_DIR: data.path,
    ...options.env,
  });
  const service = opened.use(await startService(config, logger));
  await service.ready(AbortSignal.timeout(10_000));
  const owned = opened.move();
  return {
    engine,
    service,
    url: service.url,
    dataDirectory: data.path,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
