import { describe, expect, it, vi } from "vitest";
import { createLogger } from "../../telemetry/logger.ts";
import type * as cancelling from "./cancel.ts";
import { createComfyUiEngine } from "./comfyui-engine.ts";
import { startHttpServer } from "./testing/http-server.ts";

const { cancelPrompt } = vi.hoisted(() => ({ cancelPrompt: vi.fn<typeof cancelling.cancelPrompt>() }));
vi.mock("./cancel.ts", () => ({ cancelPrompt }));

describe("ComfyUI engine", () => {
  it("outlives an unexpected failure while it cancels what was left behind, and tries again", async () => {
    const sweptTwice = Promise.withResolvers<void>();
    cancelPrompt
      .mockResolvedValueOnce({ state: "unproven" }) // the run's own attempt leaves the prompt behind
      .mockRejectedValueOnce(new TypeError("unexpected")) // vitest reports it if nobody handles it
      .mockImplementationOnce(async () => {
        sweptTwice.resolve();
        return { state: "ended" };
      });
    await using server = await startHttpServer((request, response) => {
      const body =
        request.method === "POST"
          ? { prompt_id: "a", node_errors: {} }
          : { exec_info: { queue_remaining: 0 }, system: {} };
      response.setHeader("content-type", "application/json").end(JSON.stringify(body));
    });
    await using engine = createComfyUiEngine(
      { name: "test", baseUrl: server.url, healthIntervalMs: 10 },
      { logger: createLogger({ level: "silent" }), random: Math.random },
    );
    const request = { promptId: "a", graph: {}, inputs: [], previews: false, resume: false };
    const signals = { cancel: AbortSignal.timeout(10_000), leave: new AbortController().signal };
    for await (const { type } of engine.run(request, signals)) {
      expect(type).toBe("submitted");
      break; // cancels
    }
    await sweptTwice.promise;
    expect(cancelPrompt).toHaveBeenCalledTimes(3);
  });
});
