import type { NodeClasses } from "../../domain/node-class.ts";
import type { PixelSize } from "../../domain/resolve/resolve-inputs.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type {
  Catalog,
  Engine,
  EngineHealth,
  OutputFile,
  OutputStream,
  RunEvent,
  RunRequest,
  RunSignals,
} from "../engine.ts";
import { AbandonedPrompts } from "./abandoned-prompts.ts";
import type { CancelRoutes } from "./cancel.ts";
import { CatalogReader } from "./catalog.ts";
import { type ComfyUiClient, createComfyUiClient, NoAnswerError, type SystemInfo } from "./client.ts";
import { noBackend } from "./failures.ts";
import { HealthMonitor } from "./health.ts";
import { PromptFinder } from "./look-up.ts";
import { NodeClassReader } from "./node-class-reader.ts";
import { type ComfyUiEngineOptions, resolveOptions, type Settings } from "./options.ts";
import { openOutput } from "./output-stream.ts";
import { PromptRun, type PromptRunDependencies } from "./prompt-run.ts";
import { RecordSweeper } from "./record-sweeper.ts";
import { ComfyUiSocket } from "./socket.ts";
import { isAtLeast } from "./version.ts";

export interface ComfyUiEngineDependencies {
  readonly logger: Logger;
  /** A number from 0 up to, not including, 1. Spreads reconnections in time. */
  readonly random: () => number;
}

/**
 * Makes an engine of one ComfyUI server. Returns at once and connects in the background: the server may be down, and
 * come later. Disposing of it cancels the prompts that are under way, as their `cancel` signals would, and goes on with
 * what was abandoned; it waits for proof for at most five seconds (or `cancelTimeoutMs`, if that is shorter), and closes
 * every connection.
 *
 * @throws TypeError if `options.baseUrl` is not an `http:` or `https:` address
 */
export function createComfyUiEngine(options: ComfyUiEngineOptions, deps: ComfyUiEngineDependencies): Engine {
  return new ComfyUiEngine(resolveOptions(options), deps);
}

/** Longest time that disposing waits for prompts to be cancelled. */
const disposeTimeoutMs = 5_000;
/** Longest time to cancel one prompt that was left behind, before the next check of the backend tries again. */
const sweepTimeoutMs = 2_000;

class ComfyUiEngine implements Engine {
  readonly name: string;
  readonly #settings: Settings;
  readonly #logger: Logger;
  readonly #client: ComfyUiClient;
  readonly #finder: PromptFinder;
  readonly #cancelRoutes: CancelRoutes = { hasJobsRoute: undefined, interruptReadsId: false };
  readonly #catalog: CatalogReader;
  readonly #nodeClasses: NodeClassReader;
  readonly #socket: ComfyUiSocket;
  readonly #health: HealthMonitor;
  readonly #sweeper: RecordSweeper;
  readonly #running = new Set<PromptRun>();
  readonly #abandoned: AbandonedPrompts;
  readonly #runDependencies: PromptRunDependencies;
  #closing = false;
  /** Aborted last: nothing is waited for any more. */
  readonly #lifetime = new AbortController();

  constructor(settings: Settings, { logger, random }: ComfyUiEngineDependencies) {
    this.name = settings.name;
    this.#settings = settings;
    this.#logger = logger.child({ backend: settings.name });
    this.#client = createComfyUiClient(settings);
    this.#finder = new PromptFinder(this.#client);
    this.#sweeper = new RecordSweeper({ client: this.#client, logger: this.#logger, delayMs: 1_000 });
    const lifetime = this.#lifetime.signal;
    this.#abandoned = new AbandonedPrompts({
      client: this.#client,
      finder: this.#finder,
      cancelRoutes: this.#cancelRoutes,
      logger: this.#logger,
      lifetime,
      timeoutMs: sweepTimeoutMs,
      nowMs: () => performance.now(),
    });
    const readers = { client: this.#client, logger: this.#logger, lifetime, nowMs: () => performance.now() };
    this.#catalog = new CatalogReader(readers);
    this.#nodeClasses = new NodeClassReader(readers);
    this.#socket = new ComfyUiSocket(settings, {
      logger: this.#logger,
      random,
      onQueueDepth: (queueRemaining) => this.#health.onQueueDepth(queueRemaining),
      onChange: () => this.#health.onSocketChange(),
    });
    this.#health = new HealthMonitor({
      client: this.#client,
      settings,
      logger: this.#logger,
      socket: this.#socket,
      onReachable: () => {
        this.#socket.retry();
        this.#abandoned.sweep();
      },
      onServerKnown: (info) => this.#onServerKnown(info),
    });
    this.#runDependencies = {
      client: this.#client,
      finder: this.#finder,
      cancelRoutes: this.#cancelRoutes,
      socket: this.#socket,
      settings,
      logger: this.#logger,
      lifetime,
      running: this.#running,
      onSign: () => this.#health.onSign(),
      onReachChange: () => this.#health.check(),
      onStalled: () => this.#health.onStalled(),
      onAbandoned: (promptId) => this.#abandoned.add(promptId),
    };
    this.#health.check();
  }

  health(): EngineHealth {
    return this.#health.current;
  }

  watchHealth(signal: AbortSignal): AsyncIterable<EngineHealth> {
    return this.#health.watch(signal);
  }

  catalog(maxAgeMs: number, signal: AbortSignal): Promise<Catalog> {
    return this.#catalog.catalog(maxAgeMs, signal);
  }

  nodeClasses(maxAgeMs: number, signal: AbortSignal): Promise<NodeClasses> {
    return this.#nodeClasses.nodeClasses(maxAgeMs, signal);
  }

  nativeSize(checkpoint: string, signal: AbortSignal): Promise<PixelSize | undefined> {
    return this.#catalog.nativeSize(checkpoint, signal);
  }

  run(request: RunRequest, signals: RunSignals): AsyncIterable<RunEvent> {
    const run = new PromptRun(request, this.#runDependencies);
    if (this.#closing) {
      // One that this engine has never had is not its to cancel.
      request.resume ? run.leave() : run.stop();
    }
    return run.events(signals);
  }

  abandon(promptId: string): void {
    this.#abandoned.add(promptId);
    this.#abandoned.sweep();
  }

  openOutput(file: OutputFile, signal: AbortSignal): Promise<OutputStream> {
    const deps = {
      client: this.#client,
      logger: this.#logger,
      silenceMs: this.#settings.requestTimeoutMs,
      lostAfterMs: this.#settings.lostAfterMs,
    };
    return openOutput(file, deps, signal);
  }

  async freeMemory(signal: AbortSignal): Promise<void> {
    try {
      await this.#client.free(signal);
    } catch (error) {
      throw error instanceof NoAnswerError ? noBackend(error) : error;
    }
  }

  forget(promptId: string): void {
    this.#sweeper.add(promptId);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing = true;
    const giveUp = setTimeout(() => {
      this.#lifetime.abort();
      void this.#client[Symbol.asyncDispose](); // what is still asked fails now
    }, disposeTimeoutMs);
    await Promise.all([...[...this.#running].map(stopAndWait), this.#abandoned.settled]);
    clearTimeout(giveUp);
    this.#lifetime.abort();
    await this.#abandoned.settled;
    await this.#sweeper[Symbol.asyncDispose]();
    await this.#health[Symbol.asyncDispose]();
    await this.#socket[Symbol.asyncDispose]();
    await this.#client[Symbol.asyncDispose]();
  }

  #onServerKnown({ version }: SystemInfo): void {
    this.#finder.reset();
    this.#cancelRoutes.hasJobsRoute = undefined;
    this.#cancelRoutes.interruptReadsId = isAtLeast(version, "0.3.57");
    this.#catalog.reset();
    this.#nodeClasses.reset();
  }
}

async function stopAndWait(run: PromptRun): Promise<void> {
  run.stop();
  await run.ended;
}
