import { expect, it } from "vitest";
import { z } from "zod";
import { createLogger } from "../../src/telemetry/logger.ts";
import { openGrpcJs } from "../support/image-clients/grpc-js.ts";
import { failureOf } from "../support/image-clients/image-client.ts";
import { startServiceFixture } from "../support/start-service.ts";

const callEntry = z.object({ msg: z.literal("call"), method: z.string(), status: z.string() });

it("logs each call with the status that its caller gets", async () => {
  const lines: string[] = [];
  const logger = createLogger({ level: "info", destination: { write: (line) => void lines.push(line) } });
  await using fixture = await startServiceFixture({ logger });
  await using client = await openGrpcJs(fixture.url);
  const soon = () => AbortSignal.timeout(20_000);
  const spec = { prompt: "a fox", widthPx: 64, heightPx: 64, steps: 1 };

  await client.generate(spec, {}, soon());
  await failureOf(client.generate({ ...spec, widthPx: 65 }, {}, soon()));
  await failureOf(client.generate({ ...spec, output: { inlineLimitBytes: 0 } }, {}, soon()));
  await failureOf(Array.fromAsync(client.generateWithProgress({ ...spec, model: "none" }, {}, soon())));

  const calls = lines.flatMap((line) => {
    const { success, data } = callEntry.safeParse(JSON.parse(line));
    return success ? [`${data.method.replace(/^.*\//, "")} ${data.status}`] : [];
  });
  expect(calls).toEqual([
    "Generate ok",
    "Generate invalid_argument",
    "Generate resource_exhausted",
    "GenerateWithProgress invalid_argument",
  ]);
});
