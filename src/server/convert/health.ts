import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type BackendHealth,
  BackendHealthSchema,
  BackendState,
  type ServiceHealth,
  ServiceHealthSchema,
} from "../../../gen/comfyrpc/v1/health_pb.js";
import type { EngineHealth, EngineState } from "../../engine/engine.ts";
import { toBackendInit } from "./result.ts";
import { toDuration } from "./time.ts";

/** What {@link toHealthMessage} says of the service. */
export interface HealthFacts {
  readonly ready: boolean;
  /** Why it is not ready, in words and free of addresses; empty if it is. */
  readonly reason: string;
  readonly version: string;
  readonly uptimeMs: number;
  readonly queuedCount: number;
  readonly runningCount: number;
  readonly backends: readonly BackendFacts[];
}

/** What is known of a backend. */
export interface BackendFacts {
  readonly name: string;
  readonly health: EngineHealth;
}

/** Writes how the service does. */
export function toHealthMessage(facts: HealthFacts): ServiceHealth {
  return create(ServiceHealthSchema, {
    ready: facts.ready,
    reason: facts.reason,
    version: facts.version,
    uptime: toDuration(facts.uptimeMs),
    queuedJobCount: facts.queuedCount,
    runningJobCount: facts.runningCount,
    backends: facts.backends.map(toBackendHealthMessage),
  });
}

/** Writes how a backend does. */
export function toBackendHealthMessage({ name, health }: BackendFacts): BackendHealth {
  return create(BackendHealthSchema, {
    backend: toBackendInit({ name, comfyUiVersion: health.version, builtIn: health.builtIn }),
    state: stateOf[health.state],
    reason: health.reason,
    stateChangeTime: timestampFromDate(health.since),
    queueDepth: health.queueDepth,
  });
}

const stateOf: Readonly<Record<EngineState, BackendState>> = {
  connecting: BackendState.CONNECTING,
  up: BackendState.UP,
  degraded: BackendState.DEGRADED,
  down: BackendState.DOWN,
};
