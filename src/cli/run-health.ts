import { create } from "@bufbuild/protobuf";
import { type ServiceHealth, ServiceHealthSchema } from "../../gen/comfyrpc/v1/health_pb.js";
import { type Clock, systemClock } from "../lib/clock.ts";
import { pause } from "../lib/pause.ts";
import { errorJson, errorLines } from "./describe-error.ts";
import { jsonLine } from "./event-json.ts";
import { ExitCode, exitCodeOf } from "./exit-code.ts";
import { healthLines } from "./health-table.ts";
import type { ImageClient } from "./image-client.ts";
import type { CliIo } from "./io.ts";
import { RpcError } from "./rpc-error.ts";
import { writeLines } from "./write-lines.ts";

/** How to ask for the health of a service. */
export interface HealthOptions {
  /** How long to wait until the service is ready, in milliseconds; 0 asks once. */
  readonly waitMs: number;
  /** Longest time to wait for one answer, in milliseconds. */
  readonly timeoutMs: number;
  /** Write the answer as a line of JSON. */
  readonly json: boolean;
  /** The service, as it is named to people. */
  readonly serverName: string;
}

/**
 * Writes how the service and its backends do. Ends with 0 if it is ready, with 3 if it is not or cannot be reached, and
 * with 130 when `signal` is aborted.
 */
export async function runHealth(
  client: ImageClient,
  options: HealthOptions,
  io: CliIo,
  signal: AbortSignal,
  clock: Clock = systemClock,
): Promise<ExitCode> {
  const answer = await askUntilReady(client, options, signal, clock);
  if (signal.aborted) return ExitCode.cancelled;
  if (answer instanceof RpcError) return reportFailure(answer, options, io);
  io.stdout.write(
    options.json
      ? jsonLine(ServiceHealthSchema, answer)
      : healthLines(answer, clock.now())
          .map((line) => `${line}\n`)
          .join(""),
  );
  return answer.ready ? ExitCode.ok : ExitCode.unavailable;
}

/** Time between two questions while waiting, in milliseconds. */
const pollIntervalMs = 500;

/** The last answer: one that says ready, or the one at the end of the time. */
async function askUntilReady(
  client: ImageClient,
  { waitMs, timeoutMs }: HealthOptions,
  signal: AbortSignal,
  clock: Clock,
): Promise<ServiceHealth | RpcError> {
  const endMs = clock.monotonicMs() + waitMs;
  for (;;) {
    const answer = await ask(client, timeoutMs, signal);
    const isReady = !(answer instanceof RpcError) && answer.ready;
    const leftMs = endMs - clock.monotonicMs();
    if (isReady || leftMs <= 0 || signal.aborted) return answer;
    await pause(Math.min(pollIntervalMs, leftMs), signal);
  }
}

async function ask(
  client: ImageClient,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<ServiceHealth | RpcError> {
  try {
    const { health } = await client.health({ timeoutMs }, signal);
    return health ?? create(ServiceHealthSchema);
  } catch (error) {
    // While waiting, a service that cannot be reached is what is waited for.
    if (error instanceof RpcError) return error;
    throw error;
  }
}

function reportFailure(error: RpcError, { json, serverName }: HealthOptions, io: CliIo): ExitCode {
  if (json) io.stdout.write(`${JSON.stringify({ error: errorJson(error) })}\n`);
  writeLines(io, errorLines(error, { serverName, hasAnswered: false }));
  const code = exitCodeOf(error);
  return code === ExitCode.deadline ? ExitCode.unavailable : code;
}
