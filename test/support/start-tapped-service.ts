import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Service, startService } from "../../src/app.ts";
import { readConfig } from "../../src/config/config.ts";
import { type DemoEngine, startDemoEngine } from "../../src/engine/demo/demo-engine.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { type EngineTap, startEngineTap } from "./engine-tap.ts";

/** A service, a built-in engine, and between them a tap that shows what passes. */
export interface TappedService extends AsyncDisposable {
  readonly engine: DemoEngine;
  readonly tap: EngineTap;
  readonly service: Service;
  readonly url: string;
}

/** Starts all three and waits until the service can draw. */
export async function startTappedService(options: { readonly stepMs: number }): Promise<TappedService> {
  await using opened = new AsyncDisposableStack();
  const logger = createLogger({ level: "silent" });
  const engine = opened.use(
    await startDemoEngine({ host: "127.0.0.1", port: 0, stepMs: options.stepMs, logger }),
  );
  const tap = opened.use(await startEngineTap(engine.url));
  const data = opened.use(await mkdtempDisposable(join(tmpdir(), "comfyrpc-test-")));
  const config = readConfig({ COMFYUI_URL: tap.url, COMFYRPC_PORT: "0", COMFYRPC_DATA_DIR: data.path });
  const service = opened.use(await startService(config, logger));
  opened.defer(() => engine.faults.clear()); // the service stops its jobs first, which takes an engine that goes on
  await service.ready(AbortSignal.timeout(10_000));
  const owned = opened.move();
  return { engine, tap, service, url: service.url, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
