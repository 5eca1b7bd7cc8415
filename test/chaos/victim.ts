import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const mainFile = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

/** What to run, and what to do with the lines that it logs. */
export interface VictimOptions {
  readonly name: string;
  /** Arguments of `comfyrpc`. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Whether a line of its log, or of its output, says that it is at work. */
  readonly isUp: (line: string) => boolean;
  /** Told every line with the id of the process that wrote it. */
  readonly onLine: (line: string, pid: number) => void;
  /** Told when a process of it has ended. */
  readonly onExit: (pid: number) => void;
}

/** A process that may be killed, stopped and started again at any time. Disposing of it kills it for good. */
export class Victim implements AsyncDisposable {
  readonly name: string;
  readonly #options: VictimOptions;
  #child: { readonly process: ChildProcess; readonly exit: Promise<unknown> } | undefined;
  #isFrozen = false;

  constructor(options: VictimOptions) {
    this.name = options.name;
    this.#options = options;
  }

  /** Whether it runs and is not frozen. */
  get isAtWork(): boolean {
    return this.#child !== undefined && !this.#isFrozen;
  }

  /** Resolves when it is at work. Rejects if it ends before that, unless it is killed. */
  async start(): Promise<void> {
    const { args, env, isUp, onLine, onExit } = this.#options;
    const process_ = spawn(process.execPath, [mainFile, ...args], {
      env: { PATH: process.env.PATH ?? "", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const pid = process_.pid ?? 0;
    const exit = once(process_, "exit").then(() => onExit(pid));
    this.#child = { process: process_, exit };
    const up = Promise.withResolvers<void>();
    let said = "";
    for (const output of [process_.stdout, process_.stderr]) {
      createInterface({ input: output }).on("line", (line) => {
        said = line;
        onLine(line, pid);
        if (isUp(line)) {
          up.resolve();
        }
      });
    }
    void exit.then(() =>
      process_.signalCode === "SIGKILL"
        ? up.resolve()
        : up.reject(new Error(`${this.name} ended by itself; the last that it said: ${said}`)),
    );
    await up.promise;
  }

  /** Ends it as a power failure would. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    this.#isFrozen = false;
    child?.process.kill("SIGKILL");
    await child?.exit;
  }

  /** Stops it where it is, with its connections open. */
  freeze(): void {
    this.#isFrozen = this.#child !== undefined;
    this.#child?.process.kill("SIGSTOP");
  }

  thaw(): void {
    this.#isFrozen = false;
    this.#child?.process.kill("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}
