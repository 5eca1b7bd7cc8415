import { durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type BackendHealth, BackendState, type ServiceHealth } from "../../gen/comfyrpc/v1/health_pb.js";
import { formatSeconds } from "./format-duration.ts";
import { plainText } from "./plain-text.ts";
import { tableLines } from "./table.ts";

/** `health` for people: a line about the service, and a table with a row for each backend. */
export function healthLines(health: ServiceHealth, now: Date): string[] {
  const { ready, reason, version, uptime, queuedJobCount, runningJobCount, backends } = health;
  const facts = [
    ready ? "ready" : "not ready",
    `version ${plainText(version) || "unknown"}`,
    ...(uptime ? [`up ${formatSeconds(durationMs(uptime))}`] : []),
    `${queuedJobCount} queued`,
    `${runningJobCount} running`,
  ];
  const rows = backends.map((backend) => backendRow(backend, now));
  const why = reason === "" ? [] : [plainText(reason)];
  return [
    facts.join(", "),
    ...why,
    "",
    ...(rows.length > 0 ? tableLines([header, ...rows]) : ["no backends"]),
  ];
}

const header = ["BACKEND", "STATE", "SINCE", "QUEUE", "VERSION", "REASON"];

function backendRow(health: BackendHealth, now: Date): string[] {
  const { backend, state, stateChangeTime, queueDepth, reason } = health;
  return [
    backend?.name ?? "?",
    stateNames[state],
    stateChangeTime ? formatSeconds(now.getTime() - timestampMs(stateChangeTime)) : "-",
    `${queueDepth}`,
    backend?.builtIn ? "built-in engine" : backend?.comfyuiVersion || "-",
    reason,
  ].map(plainText);
}

const stateNames: Record<BackendState, string> = {
  [BackendState.UNSPECIFIED]: "unknown",
  [BackendState.CONNECTING]: "connecting",
  [BackendState.UP]: "up",
  [BackendState.DEGRADED]: "degraded",
  [BackendState.DOWN]: "down",
};
