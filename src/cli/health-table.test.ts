import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { expect, it } from "vitest";
import { BackendState, ServiceHealthSchema } from "../../gen/comfyrpc/v1/health_pb.js";
import { healthLines } from "./health-table.ts";

it("lines up what is known of each backend", () => {
  const health = create(ServiceHealthSchema, {
    ready: true,
    version: "0.1.0",
    queuedJobCount: 3,
    backends: [
      { backend: { name: "gpu-a", comfyuiVersion: "0.4.1" }, state: BackendState.UP, queueDepth: 2 },
      {
        backend: { name: "gpu-long-name" },
        state: BackendState.DOWN,
        reason: "connection\nrefused",
        stateChangeTime: timestampFromMs(1_000),
      },
      { backend: { name: "demo", builtIn: true, comfyuiVersion: "0.4.0" }, state: BackendState.DEGRADED },
    ],
  });
  expect(healthLines(health, new Date(76_000))).toEqual([
    "ready, version 0.1.0, 3 queued, 0 running",
    "",
    "BACKEND        STATE     SINCE  QUEUE  VERSION          REASON",
    "gpu-a          up        -      2      0.4.1",
    "gpu-long-name  down      1m15s  0      -                connection refused",
    "demo           degraded  -      0      built-in engine",
  ]);
});

it("says so when there is no backend at all", () => {
  expect(healthLines(create(ServiceHealthSchema, { version: "0.1.0" }), new Date(0))).toEqual([
    "not ready, version 0.1.0, 0 queued, 0 running",
    "",
    "no backends",
  ]);
});
