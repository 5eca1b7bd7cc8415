import { randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startService } from "../../src/app.ts";
import { readConfig } from "../../src/config/config.ts";
import { startDemoEngine } from "../../src/engine/demo/demo-engine.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { backendOf, connectImages, draw } from "../support/image-client.ts";
import { testCertificate } from "../support/test-certificate.ts";
import { startTlsProxy } from "../support/tls-proxy.ts";

const logger = createLogger({ level: "silent" });
const spec = { prompt: "a red fox", widthPx: 64, heightPx: 64, steps: 4, preview: {} };

describe("a ComfyUI behind a proxy with TLS and a base path", () => {
  let directory: string;
  let caFile: string;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "comfyrpc-test-"));
    caFile = join(directory, "ca.pem");
    await writeFile(caFile, testCertificate.certificate);
  });

  afterAll(() => rm(directory, { recursive: true }));

  it.each([
    ["a bearer token", ["authorization", "Bearer s3cret"], { COMFYUI_TOKEN: "s3cret" }],
    [
      "user name and password",
      ["authorization", `Basic ${Buffer.from("me:pässword").toString("base64")}`],
      { COMFYUI_USER: "me", COMFYUI_PASSWORD: "pässword" },
    ],
    ["a header of its own", ["x-proxy-key", "k"], { COMFYUI_HEADERS: '{"X-Proxy-Key":"k"}' }],
  ] as const)("is driven with %s, events and previews included", async (_, required, env) => {
    await using engine = await startDemoEngine({ stepMs: 0, logger });
    await using proxy = await startTlsProxy({ target: engine.url, required });
    const config = readConfig({
      ...env,
      COMFYUI_URL: proxy.url,
      COMFYUI_CA_FILE: caFile,
      COMFYRPC_PORT: "0",
      COMFYRPC_DATA_DIR: join(directory, randomUUID()),
    });
    await using service = await startService(config, logger);
    await service.ready(AbortSignal.timeout(10_000));
    using client = connectImages(service.url);
    engine.faults.order({ type: "stall", classType: "KSampler", step: spec.steps }); // until a preview is there
    const { failure, events, result } = await draw(client, spec, {
      onEvent: ({ event }) => event.case === "preview" && engine.faults.clear(),
    });
    expect(failure).toBeUndefined();
    expect(result?.images).toMatchObject([{ widthPx: 64, heightPx: 64 }]);
    expect(events.map(({ event }) => event.case)).toContain("nodeStarted");
    expect(events.map(({ event }) => event.case)).toContain("preview");
    expect(proxy.seen.some(({ upgrade }) => upgrade === "websocket")).toBe(true);
    expect(proxy.seen.some(({ origin }) => origin !== undefined)).toBe(false);
  });

  it.each([
    ["the wrong token", () => ({ COMFYUI_TOKEN: "wrong", COMFYUI_CA_FILE: caFile }), /HTTP 401/],
    [
      "a certificate that is not trusted",
      () => ({ COMFYUI_TOKEN: "s3cret" }),
      /cannot be connected to|does not answer/,
    ],
  ])("is down, and says why without its address, with %s", async (_, env, reason) => {
    await using engine = await startDemoEngine({ stepMs: 0, logger });
    await using proxy = await startTlsProxy({
      target: engine.url,
      required: ["authorization", "Bearer s3cret"],
    });
    const config = readConfig({
      ...env(),
      COMFYUI_URL: proxy.url,
      COMFYRPC_PORT: "0",
      COMFYRPC_DATA_DIR: join(directory, randomUUID()),
    });
    await using service = await startService(config, logger);
    using client = connectImages(service.url);
    await expect.poll(async () => (await backendOf(client)).reason, { timeout: 10_000 }).toMatch(reason);
    const { failure } = await draw(client, spec);
    expect(failure).toMatchObject({ reason: "NO_BACKEND" });
    expect(failure?.message).not.toContain("127.0.0.1");
  });
});
