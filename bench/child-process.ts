import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const mainFile = fileURLToPath(new URL("../src/main.ts", import.meta.url));

/** A `comfyrpc` process. Disposing of it sends SIGTERM and waits for its end. */
export interface RunningProcess extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
}

/** Runs the built-in engine in a process of its own, with no time between steps. */
export async function startEngineProcess(): Promise<RunningProcess> {
  const child = start(["engine", "--port", "0", "--step-ms", "0"], {});
  const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
  return running(child, line);
}

/** Runs the service in a process of its own, with the ComfyUI at `comfyUiUrl` as its backend. */
export async function startServiceProcess(comfyUiUrl: string): Promise<RunningProcess> {
  const child = start(["serve", "--port", "0"], { COMFYUI_URL: comfyUiUrl });
  for await (const line of createInterface({ input: child.stderr })) {
    const entry: unknown = JSON.parse(line);
    if (
      typeof entry === "object" &&
      entry !== null &&
      "msg" in entry &&
      entry.msg === "serving" &&
      "url" in entry
    ) {
      child.stderr.resume();
      return running(child, String(entry.url));
    }
  }
  throw new Error("the service ended before it was serving");
}

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
