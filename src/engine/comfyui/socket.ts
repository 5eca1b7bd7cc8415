import { backoffMs } from "../../lib/backoff.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { PreviewMessage, PromptMessage } from "./messages.ts";
import type { Settings } from "./options.ts";
import { SocketSession } from "./socket-session.ts";

export interface SocketDependencies {
  readonly logger: Logger;
  /** A number from 0 up to, not including, 1. */
  readonly random: () => number;
  /** Told about every `status` frame: the number of prompts pending and running. */
  readonly onQueueDepth: (queueRemaining: number) => void;
  /** Told when `verified` may have changed. */
  readonly onChange: () => void;
}

/** Who wants to know what happens to a prompt. Called while a frame is read, so it must be quick and must not throw. */
export interface PromptListener {
  onMessage(message: PromptMessage): void;
  onPreview(nodeId: string, preview: PreviewMessage): void;
  /** The session that the prompt was registered with is over: no more events will come. */
  onDeaf(): void;
}

/** A prompt's place at the socket, until it is disposed of. */
export interface Registration extends Disposable {
  /** What the prompt must be submitted with for its events to come. */
  readonly clientId: string;
  /** Whether events of the prompt may come: its session is on, or about to be. */
  readonly live: boolean;
  /** Number of frames of any kind, about whatever, since the registration. */
  readonly frameCount: number;
  /** Ends a session that is open and silent though it should not be, so that the next prompts get a working one. */
  replaceSession(): void;
}

/** Longest wait for a first connection that is just being made. */
const settleTimeoutMs = 1_000;

/**
 * The WebSocket of one ComfyUI server: one session after another, each with a client id of its own, for as long as it
 * lives. Frames are read at once, whatever their readers do, and passed to whoever has registered for their prompt;
 * frames about other prompts are ignored, as servers send some of them to everybody.
 */
export class ComfyUiSocket implements AsyncDisposable {
  readonly #settings: Settings;
  readonly #deps: SocketDependencies;
  readonly #listeners = new Map<
    string,
    { readonly session: SocketSession; readonly listener: PromptListener }
  >();
  readonly #settleWaiters = new Set<() => void>();
  #session: SocketSession;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #disposed = false;

  /** Begins to connect at once. */
  constructor(settings: Settings, deps: SocketDependencies) {
    this.#settings = settings;
    this.#deps = deps;
    this.#session = this.#makeSession();
    this.#session.connect();
  }

  /** Whether the session is on and the server has spoken on it. */
  get verified(): boolean {
    return this.#session.state === "verified";
  }

  /** Whether the first attempts to connect are still under way. */
  get undecided(): boolean {
    return !this.verified && this.#failures === 0;
  }

  /** Tries to connect now, if it waits for the time of its next attempt. */
  retry(): void {
    if (this.#timer !== undefined) {
      this.#connectNow();
    }
  }

  /**
   * Waits for a connection that is just being made, at most a second; if the last attempt has failed, only begins the
   * next one. Aborting `signal` ends the waiting, which is no failure.
   */
  async settled(signal: AbortSignal): Promise<void> {
    if (!this.undecided) {
      this.retry();
      return;
    }
    if (signal.aborted) {
      return;
    }
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        this.#settleWaiters.delete(done);
        resolve();
      };
      const timer = setTimeout(done, settleTimeoutMs);
      signal.addEventListener("abort", done, { once: true });
      this.#settleWaiters.add(done);
    });
  }

  register(promptId: string, listener: PromptListener): Registration {
    const session = this.#session;
    const framesBefore = session.frameCount;
    this.#listeners.set(promptId, { session, listener });
    return {
      clientId: session.clientId,
      get live() {
        return session.state !== "closed";
      },
      get frameCount() {
        return session.frameCount - framesBefore;
      },
      replaceSession: () => {
        if (session === this.#session && session.state === "verified") {
          this.#deps.logger.warn({ clientId: session.clientId }, "backend socket is silent: replacing it");
          session.terminate().catch((error: unknown) => {
            this.#deps.logger.error({ err: error }, "ending a backend socket failed");
          });
        }
      },
      [Symbol.dispose]: () => {
        if (this.#listeners.get(promptId)?.listener === listener) {
          this.#listeners.delete(promptId);
        }
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    clearTimeout(this.#timer);
    this.#settle();
    await this.#session.terminate();
  }

  #makeSession(): SocketSession {
    const session = new SocketSession(this.#settings, {
      onVerified: () => this.#onVerified(),
      onStatus: this.#deps.onQueueDepth,
      onMessage: (message) => this.#listenerFor(message.promptId, session)?.onMessage(message),
      onPreview: (promptId, nodeId, preview) =>
        this.#listenerFor(promptId, session)?.onPreview(nodeId, preview),
      onClosed: (reason) => this.#onClosed(session, reason),
    });
    return session;
  }

  #listenerFor(promptId: string, session: SocketSession): PromptListener | undefined {
    const registered = this.#listeners.get(promptId);
    return registered?.session === session ? registered.listener : undefined;
  }

  #onVerified(): void {
    this.#failures = 0;
    this.#settle();
    this.#deps.onChange();
  }

  #onClosed(session: SocketSession, reason: string): void {
    this.#failures++;
    this.#deps.logger.debug({ reason, failures: this.#failures }, "backend socket closed");
    this.#session = this.#makeSession();
    if (!this.#disposed) {
      const delayMs = backoffMs(this.#failures, { firstMs: 100, maxMs: 5_000, random: this.#deps.random });
      this.#timer = setTimeout(() => this.#connectNow(), delayMs);
    }
    this.#settle();
    for (const registered of [...this.#listeners.values()]) {
      if (registered.session === session) {
        registered.listener.onDeaf();
      }
    }
    this.#deps.onChange();
  }

  #connectNow(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#session.connect();
  }

  #settle(): void {
    for (const done of [...this.#settleWaiters]) {
      done();
    }
  }
}
