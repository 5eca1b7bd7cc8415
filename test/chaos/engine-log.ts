import { z } from "zod";

/** One run of a prompt on an engine, as the engine's own log tells. */
interface Execution {
  readonly promptId: string;
  readonly jobId: string;
  readonly pid: number;
  readonly begunMs: number;
  /** How it ended, if it did. */
  status?: string;
}

const entry = z.object({
  msg: z.string(),
  promptId: z.string().optional(),
  filePrefixes: z.array(z.string()).optional(),
  status: z.string().optional(),
});

/** What engines really ran, whatever the service says. */
export class EngineLog {
  readonly #executions: Execution[] = [];
  readonly #diedMs = new Map<number, number>();

  /** Reads a line of an engine's log. */
  onLine(line: string, pid: number): void {
    if (!line.startsWith("{")) {
      return;
    }
    const { msg, promptId = "", filePrefixes, status } = entry.parse(JSON.parse(line));
    if (msg === "prompt begun") {
      const jobId = /([0-9a-f-]{36})_\d+$/.exec(filePrefixes?.[0] ?? "")?.[1] ?? "";
      this.#executions.push({ promptId, jobId, pid, begunMs: performance.now() });
    } else if (msg === "prompt ended") {
      const execution = this.#executions.findLast((one) => one.promptId === promptId && one.pid === pid);
      if (execution !== undefined && status !== undefined) {
        execution.status = status;
      }
    }
  }

  /** The process of an engine has ended, and with it all that it knew. */
  onExit(pid: number): void {
    this.#diedMs.set(pid, performance.now());
  }

  get executionCount(): number {
    return this.#executions.length;
  }

  /** Jobs that were run more than once. */
  get repeatedJobCount(): number {
    return [...this.#byJob()].filter(([, executions]) => executions.length > 1).length;
  }

  /**
   * Runs that were for nothing: a job was run again although the engine that had run it before, or was running it, was
   * alive, so that the first result could be had.
   */
  get needlessRuns(): readonly string[] {
    return [...this.#byJob()].flatMap(([jobId, executions]) =>
      executions.slice(1).flatMap((later, i) => {
        const before = executions[i];
        const diedMs = before === undefined ? 0 : (this.#diedMs.get(before.pid) ?? Number.POSITIVE_INFINITY);
        const couldBeHad = before !== undefined && before.status !== "error" && diedMs > later.begunMs;
        return couldBeHad
          ? [`job ${jobId}: ${before.promptId} (${before.status ?? "running"}), then ${later.promptId}`]
          : [];
      }),
    );
  }

  #byJob(): Map<string, Execution[]> {
    return Map.groupBy(this.#executions, ({ jobId }) => jobId);
  }
}
