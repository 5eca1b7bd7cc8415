import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { text } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { z } from "zod";

const mainFile = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

/** How a process ended: one of the two is set. */
export interface ServiceExit {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** `comfyrpc serve` in a process of its own. Disposing of it kills it if it still runs, and clears up behind it. */
export interface ServiceProcess extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  /** Where it keeps jobs and images. */
  readonly dataDirectory: string;
  readonly exit: Promise<ServiceExit>;
  /** `SIGSTOP` freezes it, with its connections open, and `SIGCONT` lets it go on. */
  kill(signal: "SIGTERM" | "SIGINT" | "SIGKILL" | "SIGSTOP" | "SIGCONT"): void;
  /** Resolves once the process has logged this message, which it may have done already. Rejects after 20 s. */
  logged(message: string): Promise<void>;
}

/**
 * Starts the service on a free port and waits until it can draw.
 *
 * @param env its whole environment, but for the port and, unless given, the directory for data
 * @throws Error if it ends before that
 */
export async function startServiceProcess(env: Readonly<Record<string, string>>): Promise<ServiceProcess> {
  await using opened = new AsyncDisposableStack();
  const own = opened.use(await mkdtempDisposable(join(tmpdir(), "comfyrpc-test-")));
  const dataDirectory = env.COMFYRPC_DATA_DIR ?? own.path;
  const child = spawnService({ ...env, COMFYRPC_DATA_DIR: dataDirectory });
  const exit = exitOf(child);
  opened.defer(async () => {
    child.kill("SIGKILL");
    await exit;
  });
  const log = readLog(createInterface({ input: child.stderr }));
  const { url = "" } = await log.entry("serving");
  await untilReady(url);
  const owned = opened.move();
  return {
    url,
    pid: child.pid ?? 0,
    dataDirectory,
    exit,
    kill: (signal) => void child.kill(signal),
    logged: async (message) => void (await log.entry(message)),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Starts a service that is expected not to start. Returns its exit code, and what it said. */
export async function failToStart(
  env: Readonly<Record<string, string>>,
): Promise<{ readonly exitCode: number | null; readonly said: string }> {
  const child = spawnService(env);
  const bound = setTimeout(() => child.kill("SIGKILL"), 20_000);
  const [said, { exitCode }] = await Promise.all([text(child.stderr), exitOf(child)]);
  clearTimeout(bound);
  return { exitCode, said };
}

function spawnService(env: Readonly<Record<string, string>>) {
  return spawn(process.execPath, [mainFile, "serve", "--port", "0"], {
    env,
    stdio: ["ignore", "ignore", "pipe"],
  });
}

async function exitOf(child: ChildProcess): Promise<ServiceExit> {
  await once(child, "exit");
  return { exitCode: child.exitCode, signal: child.signalCode };
}

const logEntry = z.object({ msg: z.string(), url: z.string().optional() });
type LogEntry = z.output<typeof logEntry>;

interface ServiceLog {
  entry(message: string): Promise<LogEntry>;
}

/** Keeps the lines of a log and waits for some. */
function readLog(lines: Interface): ServiceLog {
  const entries: LogEntry[] = [];
  let isOver = false;
  const changes = new EventTarget();
  const change = () => changes.dispatchEvent(new Event("change"));
  lines.on("line", (line) => {
    entries.push(parseEntry(line));
    change();
  });
  lines.on("close", () => {
    isOver = true;
    change();
  });
  return {
    async entry(message) {
      const signal = AbortSignal.timeout(20_000);
      for (;;) {
        const found = entries.find(({ msg }) => msg === message);
        if (found) return found;
        if (isOver || signal.aborted) {
          throw new Error(
            `the service logged no "${message}", but:\n${entries.map(({ msg }) => msg).join("\n")}`,
          );
        }
        await once(changes, "change", { signal }).catch(() => {}); // the next round finds the signal aborted
      }
    },
  };
}

/** What is no JSON comes from Node itself, and is worth being seen in a failure. */
function parseEntry(line: string): LogEntry {
  return line.startsWith("{") ? logEntry.parse(JSON.parse(line)) : { msg: line };
}

async function untilReady(url: string): Promise<void> {
  const signal = AbortSignal.timeout(20_000);
  while (!(await fetch(`${url}/readyz`, { signal })).ok) {
    await pause(20, undefined, { signal });
  }
}
