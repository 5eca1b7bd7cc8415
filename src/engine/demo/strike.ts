import type { InterruptFlag } from "./execute.ts";
import type { FaultPlan, RunFault, RunPoint } from "./faults.ts";
import type { Gate } from "./gate.ts";
import { outOfMemory, PythonError } from "./python.ts";
import type { SocketHub } from "./sockets.ts";

/** What faults act upon. */
export interface StrikeTargets {
  readonly sockets: SocketHub;
  readonly gate: Gate;
  readonly interrupt: InterruptFlag;
  readonly restart: () => void;
}

/** Carries out a fault that is not to wait for a prompt. */
export function strikeNow(fault: RunFault, targets: StrikeTargets): void {
  strike(fault, undefined, targets);
}

/**
 * Carries out the faults that are due at `point`, in the order in which they were ordered. Waits while stalled.
 *
 * @throws PythonError where a node is to fail
 */
export async function strikeAt(
  point: RunPoint,
  clientId: string | undefined,
  faults: FaultPlan,
  targets: StrikeTargets,
  signal: AbortSignal,
): Promise<void> {
  for (const fault of faults.due(point)) {
    if (fault.type === "stall") {
      await faults.stallUntilCleared(signal);
    } else {
      strike(fault, clientId, targets);
    }
  }
}

function strike(fault: RunFault, clientId: string | undefined, targets: StrikeTargets): void {
  const { sockets, gate, interrupt, restart } = targets;
  switch (fault.type) {
    case "drop_socket":
      sockets.drop(fault.whose === "client" ? clientId : undefined);
      break;
    case "mute_socket":
      sockets.mute(fault.whose === "client" ? clientId : undefined);
      break;
    case "restart":
      gate.close("reset", fault.downMs);
      restart();
      break;
    case "refuse":
      gate.close(fault.how, fault.forMs);
      break;
    case "interrupt":
      interrupt.raised = true;
      break;
    case "out_of_memory":
      throw outOfMemory();
    case "fail_node":
      throw new PythonError(fault.exceptionType, fault.message);
    case "stall":
      // Waits, so it is done where waiting is possible.
      break;
  }
}
