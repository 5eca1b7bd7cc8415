import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";

/** A client program at work. */
export interface ClientProcess {
  /** What it writes to standard output, as it comes. Has to be read. */
  readonly stdout: AsyncIterable<Buffer>;
  /** How it ended. */
  readonly ended: Promise<ProcessEnd>;
}

export interface ProcessEnd {
  /** `null` if it was killed. */
  readonly exitCode: number | null;
  readonly stderr: string;
}

/** Starts a program. Aborting `signal` kills it, and what it has started itself, with SIGKILL. */
export function startClient(
  command: string,
  args: readonly string[],
  input: string | Uint8Array,
  signal: AbortSignal,
): ClientProcess {
  const child = spawn(command, args, { detached: true, stdio: ["pipe", "pipe", "pipe"] });
  const kill = () => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      process.kill(-child.pid, "SIGKILL"); // the group that it leads, since it is detached
    }
  };
  signal.addEventListener("abort", kill, { once: true });
  if (signal.aborted) kill();
  child.stdin.on("error", () => {}); // it may end before it has read everything; its exit code tells why
  child.stdin.end(input);

  async function end(): Promise<ProcessEnd> {
    const [[exitCode], stderr] = await Promise.all([once(child, "close"), text(child.stderr)]);
    signal.removeEventListener("abort", kill);
    return { exitCode: typeof exitCode === "number" ? exitCode : null, stderr };
  }
  const ended = end();
  ended.catch(() => {}); // whoever reads the output hears of it there too
  return { stdout: child.stdout, ended };
}
