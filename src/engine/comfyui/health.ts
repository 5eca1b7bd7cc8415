import type { Logger } from "../../telemetry/logger.ts";
import type { EngineHealth, EngineState } from "../engine.ts";
import { type ComfyUiClient, NoAnswerError, type SystemInfo } from "./client.ts";
import type { Settings } from "./options.ts";

export interface HealthDependencies {
  readonly client: ComfyUiClient;
  readonly settings: Settings;
  readonly logger: Logger;
  readonly socket: { readonly verified: boolean; readonly undecided: boolean };
  /** Told whenever the backend has answered a check. */
  readonly onReachable: () => void;
  /** Told about the server's version, whenever it may be another server than before. */
  readonly onServerKnown: (info: SystemInfo) => void;
}

/** Watches how a backend does: by asking it from time to time, and by what prompts and the socket meet with. */
export class HealthMonitor implements AsyncDisposable {
  readonly #deps: HealthDependencies;
  readonly #stopped = new AbortController();
  #answers: "unknown" | "yes" | "no" = "unknown";
  #failure = "";
  #info: SystemInfo | undefined;
  #infoOutdated = true;
  #queueDepth = 0;
  /** When a prompt last got stuck, if none has shown a sign of life since. */
  #stalledMs: number | undefined;
  #current: EngineHealth = {
    state: "connecting",
    reason: "not connected yet",
    since: new Date(),
    version: "",
    builtIn: false,
    queueDepth: 0,
  };
  readonly #watchers = new Set<() => void>();
  #checking: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(deps: HealthDependencies) {
    this.#deps = deps;
  }

  get current(): EngineHealth {
    return this.#current;
  }

  /** Yields the present health and then every change; if several come while the reader is busy, the last of them. */
  async *watch(signal: AbortSignal): AsyncGenerator<EngineHealth, void, void> {
    const stop = AbortSignal.any([signal, this.#stopped.signal]);
    let seen: EngineHealth | undefined;
    while (!stop.aborted) {
      if (seen !== this.#current) {
        seen = this.#current;
        yield seen;
      } else {
        await this.#nextChange(stop);
      }
    }
  }

  /** Checks now, and then again and again. If a check is under way, there is no second one beside it. */
  check(): void {
    if (this.#stopped.signal.aborted) {
      return;
    }
    this.#checking ??= this.#check().finally(() => {
      this.#checking = undefined;
    });
  }

  onQueueDepth(queueDepth: number): void {
    this.#queueDepth = queueDepth;
    this.#update();
  }

  /** The socket has come or gone: who is at its other end may have changed. */
  onSocketChange(): void {
    this.#infoOutdated = true;
    if (this.#deps.socket.verified) {
      this.#stalledMs = undefined; // a restart is what brings a dead worker back
    }
    this.#update();
    this.check();
  }

  /** A prompt showed no sign of life for too long. */
  onStalled(): void {
    this.#stalledMs = performance.now();
    this.#update();
  }

  /** A prompt showed a sign of life. */
  onSign(): void {
    if (this.#stalledMs !== undefined) {
      this.#stalledMs = undefined;
      this.#update();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort();
    clearTimeout(this.#timer);
    await this.#checking;
  }

  async #check(): Promise<void> {
    clearTimeout(this.#timer);
    const { client, settings, onReachable, onServerKnown } = this.#deps;
    const stopped = this.#stopped.signal;
    const timeout = AbortSignal.timeout(Math.min(settings.requestTimeoutMs, 2 * settings.healthIntervalMs));
    const signal = AbortSignal.any([stopped, timeout]);
    try {
      this.#queueDepth = await client.queueDepth(signal);
      if (this.#infoOutdated) {
        this.#infoOutdated = false;
        this.#info = await client.systemInfo(signal);
        onServerKnown(this.#info);
      }
      this.#answers = "yes";
      onReachable();
    } catch (error) {
      this.#infoOutdated = true;
      this.#answers = "no";
      this.#failure = describe(error, timeout);
      this.#deps.logger.debug({ err: error }, "backend check failed");
    }
    if (!stopped.aborted) {
      this.#timer = setTimeout(() => this.check(), settings.healthIntervalMs);
      this.#update();
    }
  }

  #update(): void {
    if (this.#stopped.signal.aborted) {
      return;
    }
    const { state, reason } = this.#judge();
    const { version, builtIn } = this.#info ?? { version: "", builtIn: false };
    const before = this.#current;
    const changed = state !== before.state;
    const next: EngineHealth = {
      state,
      reason,
      since: changed ? new Date() : before.since,
      version,
      builtIn,
      queueDepth: this.#queueDepth,
    };
    if (sameHealth(before, next)) {
      return;
    }
    this.#current = next;
    if (changed) {
      this.#deps.logger.info({ state, reason, version }, "backend health changed");
    }
    for (const wake of this.#watchers) {
      wake();
    }
  }

  async #nextChange(stop: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => resolve();
    this.#watchers.add(wake);
    stop.addEventListener("abort", wake, { once: true });
    await promise;
    stop.removeEventListener("abort", wake);
    this.#watchers.delete(wake);
  }

  #judge(): { state: EngineState; reason: string } {
    const { socket, settings } = this.#deps;
    if (this.#answers === "unknown") {
      return { state: "connecting", reason: "not connected yet" };
    }
    if (this.#answers === "no") {
      return { state: "down", reason: this.#failure };
    }
    if (this.#stalledMs !== undefined) {
      return performance.now() - this.#stalledMs < settings.pendingSilenceMs
        ? { state: "down", reason: "it takes prompts but does not work on them; restart it" }
        : { state: "degraded", reason: "it did not work on its last prompt; another one may be tried" };
    }
    if (socket.verified) {
      return { state: "up", reason: "" };
    }
    return socket.undecided
      ? { state: "connecting", reason: "its WebSocket is being connected" }
      : { state: "degraded", reason: "it is without a WebSocket; progress comes by polling" };
  }
}

function sameHealth(a: EngineHealth, b: EngineHealth): boolean {
  return (
    a.state === b.state &&
    a.reason === b.reason &&
    a.version === b.version &&
    a.builtIn === b.builtIn &&
    a.queueDepth === b.queueDepth
  );
}

function describe(error: unknown, timeout: AbortSignal): string {
  if (timeout.aborted || !(error instanceof NoAnswerError)) {
    return "it does not answer";
  }
  if (!error.sent) {
    return "it cannot be connected to";
  }
  return error.status === undefined ? "it does not answer" : `it answers with HTTP ${error.status}`;
}
