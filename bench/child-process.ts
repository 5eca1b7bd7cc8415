import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { z } from "zod";

const mainFile = fileURLToPath(new URL("../src/main.ts", import.meta.url));

/** A `comfyrpc` process. Disposing of it sends SIGTERM and waits for its end. */
export interface RunningProcess extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
}

/** Runs the built-in engine in a process of its own. */
export async function startEngineProcess(stepMs = 0): Promise<RunningProcess> {
  const child = start(["engine", "--port", "0", "--step-ms", `${stepMs}`], {});
  const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
  return running(child, line);
}

/**
 * Runs the service in a process of its own and waits until it can draw. It has a fresh data directory unless `env` names
 * one.
 */
export async function startServiceProcess(env: Readonly<Record<string, string>>): Promise<RunningProcess> {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(await mkdtempDisposable(join(tmpdir(), "comfyrpc-bench-")));
  const child = start(["serve", "--port", "0"], { COMFYRPC_DATA_DIR: path, ...env });
  for await (const line of createInterface({ input: child.stderr })) {
    const { msg, url } = logLine.parse(JSON.parse(line));
    if (msg === "serving" && url !== undefined) {
      child.stderr.resume();
      const service = stack.use(running(child, url));
      while (!(await fetch(`${url}/readyz`)).ok) {
        await sleep(20);
      }
      const owned = stack.move();
      return { url, pid: service.pid, [Symbol.asyncDispose]: () => owned.disposeAsync() };
    }
  }
  throw new Error("the service ended before it was serving");
}

const logLine = z.object({ msg: z.string(), url: z.string().optional() });

function start(args: readonly string[], env: NodeJS.ProcessEnv) {
  return spawn(process.execPath, [mainFile, ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

function running(child: ChildProcess, url: string): RunningProcess {
  child.stdout?.resume();
  child.stderr?.resume();
  return {
    url,
    pid: child.pid ?? 0,
    async [Symbol.asyncDispose]() {
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
    },
  };
}
