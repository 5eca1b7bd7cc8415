import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { BackendState } from "../../gen/comfyrpc/v1/health_pb.js";
import type { ImageService } from "../../gen/comfyrpc/v1/image_service_pb.js";
import { captureIo } from "./testing/capture-io.ts";
import { runCli } from "./testing/run-cli.ts";
import { startStagedService } from "./testing/staged-service.ts";

type Health = ServiceImpl<typeof ImageService>["health"];

function healthOf(ready: boolean): Health {
  return () => ({
    health: {
      ready,
      version: "0.1.0",
      uptime: durationFromMs(192_000),
      queuedJobCount: 3,
      runningJobCount: 1,
      backends: [
        {
          backend: { name: "gpu-a", comfyuiVersion: "0.4.1" },
          state: BackendState.UP,
          queueDepth: 2,
        },
        {
          backend: { name: "gpu-long-name" },
          state: BackendState.DOWN,
          reason: "connection refused",
          stateChangeTime: timestampFromMs(0),
        },
        { backend: { name: "demo", builtIn: true, comfyuiVersion: "0.4.0" }, state: BackendState.DEGRADED },
      ],
    },
  });
}

describe("health", () => {
  it("shows the service and a row for each backend, and ends with 0 when ready", async () => {
    await using service = await startStagedService({ health: healthOf(true) });
    const { exitCode, out, err } = await runCli(["health", "--server", service.address]);
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: "" });
    const [first, , header, ...rows] = out.trimEnd().split("\n");
    expect(first).toBe("ready, version 0.1.0, up 3m12s, 3 queued, 1 running");
    expect(header).toMatch(/^BACKEND +STATE/);
    expect(rows.map((row) => row.split(" ")[0])).toEqual(["gpu-a", "gpu-long-name", "demo"]);
    await service.idle(AbortSignal.timeout(10_000));
  });

  it("ends with 3 when not ready", async () => {
    await using service = await startStagedService({ health: healthOf(false) });
    const { exitCode, out } = await runCli(["health", "--server", service.address]);
    expect(exitCode).toBe(3);
    expect(out).toMatch(/^not ready, /);
  });

  it("writes all of it as one line with --json, defaults included", async () => {
    await using service = await startStagedService({ health: healthOf(false) });
    const { out } = await runCli(["health", "--json", "--server", service.address]);
    expect(out.indexOf("\n")).toBe(out.length - 1);
    expect(JSON.parse(out)).toMatchObject({
      ready: false,
      queuedJobCount: 3,
      backends: [{ state: "BACKEND_STATE_UP" }, { queueDepth: 0 }, { backend: { builtIn: true } }],
    });
  });

  it("ends with 3 when nobody is there", async () => {
    const gone = await startStagedService({});
    await gone[Symbol.asyncDispose]();
    const { exitCode, out, err } = await runCli(["health", "--json", "--server", gone.address]);
    expect(exitCode).toBe(3);
    expect(JSON.parse(out)).toMatchObject({ error: { code: "UNAVAILABLE" } });
    expect(err).toContain("cannot reach the service");
  });

  it("ends with 3 when no answer comes in time", async () => {
    const hang: Health = async (_, { signal }) => {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      return {};
    };
    await using service = await startStagedService({ health: hang });
    const { exitCode } = await runCli(["health", "--timeout", "0.2", "--server", service.address]);
    expect(exitCode).toBe(3);
  });
});

describe("health --wait", () => {
  it("asks until the service is ready", async () => {
    let askCount = 0;
    const readyAtLast: Health = (request, context) => healthOf(++askCount >= 3)(request, context);
    await using service = await startStagedService({ health: readyAtLast });
    const { exitCode, out } = await runCli(["health", "--wait", "20", "--server", service.address]);
    expect(exitCode).toBe(0);
    expect(out.match(/ready, version/g)).toHaveLength(1);
    expect(askCount).toBe(3);
  });

  it("ends with the last answer when the time is over", async () => {
    await using service = await startStagedService({ health: healthOf(false) });
    const { exitCode, out } = await runCli(["health", "--wait", "0.1", "--server", service.address]);
    expect(exitCode).toBe(3);
    expect(out).toMatch(/^not ready/);
  });

  it("stops at Ctrl-C", async () => {
    const abort = new AbortController();
    const stop: Health = (request, context) => {
      setImmediate(() => abort.abort());
      return healthOf(false)(request, context);
    };
    await using service = await startStagedService({ health: stop });
    const args = ["health", "--wait", "60", "--server", service.address];
    const { exitCode } = await runCli(args, { io: captureIo(), signal: abort.signal });
    expect(exitCode).toBe(130);
  });
});
