import { describe } from "vitest";
import { startDemoEngine } from "../../src/engine/demo/demo-engine.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { describeRuns } from "./comfyui/canonical.ts";
import { canonicalGraphs } from "./comfyui/canonical-graphs.ts";
import { firstCheckpointOf } from "./comfyui/session.ts";
import { type ComfyUiServerUnderTest, describeComfyUiServer } from "./comfyui-server.ts";

/**
 * Long enough that a prompt of very many steps is still running when a test cancels it, short enough that a prompt of
 * a few steps is done at once.
 */
const STEP_MS = 5;

/** A built-in engine of its own for every test. */
async function openDemoEngine(): Promise<ComfyUiServerUnderTest> {
  await using stack = new AsyncDisposableStack();
  const logger = createLogger({ level: "silent" });
  const engine = stack.use(
    await startDemoEngine({ host: "127.0.0.1", port: 0, stepMs: STEP_MS, loadMs: 0, logger }),
  );
  const checkpoint = await firstCheckpointOf(engine.url);
  const owned = stack.move();
  return { baseUrl: engine.url, checkpoint, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

describeComfyUiServer("the built-in engine", openDemoEngine);

describe("the built-in engine", () => {
  describeRuns(
    openDemoEngine,
    canonicalGraphs.filter(({ needs, anyCheckpoint }) => needs.length > 0 || !anyCheckpoint),
  );
});
