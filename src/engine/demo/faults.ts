import { z } from "zod";

/** How often a fault strikes before it is used up. */
const times = z.int().min(1).default(1);

/** The prompt that is meant. Default: whichever comes first. */
const promptId = z.string().optional();

/**
 * Where in the run of a prompt a fault strikes: before the first step `step` (from 1) of a node of class `classType`;
 * without `step` when such a node starts; without either when the prompt starts.
 */
const place = { promptId, classType: z.string().optional(), step: z.int().min(1).optional(), times };

/** The same, or as soon as the fault is ordered. */
const placeOrNow = { ...place, now: z.boolean().default(false) };

/** Whose sockets are meant: those of all clients, or those of the client of the prompt (with `now`: of all). */
const whose = z.enum(["client", "all"]).default("client");

/** A node of which class fails: the first one that starts. */
const failingPlace = { ...place, classType: z.string().default("KSampler") };

const faultSchema = z.discriminatedUnion("type", [
  /** Cuts WebSocket connections without a closing handshake. New ones are accepted. */
  z.strictObject({ type: z.literal("drop_socket"), ...placeOrNow, whose }),
  /** Leaves WebSocket connections open and sends nothing more on them, ever. New ones work. */
  z.strictObject({ type: z.literal("mute_socket"), ...placeOrNow, whose }),
  /** The worker makes no more progress, while HTTP goes on, until the fault is cleared. */
  z.strictObject({ type: z.literal("stall"), ...place }),
  /**
   * Ends the process and starts it again: queue, history, running prompt, caches, temporary files and all connections
   * are gone. For `downMs` milliseconds nothing can connect.
   */
  z.strictObject({
    type: z.literal("restart"),
    ...placeOrNow,
    downMs: z.int().min(0).max(600_000).default(0),
  }),
  /**
   * For `forMs` milliseconds every HTTP request and new WebSocket fails: the connection is reset, or the answer is 503
   * with a page of HTML, as a proxy gives it. Open WebSockets stay. `/demo/faults` goes on working.
   */
  z.strictObject({
    type: z.literal("refuse"),
    ...placeOrNow,
    how: z.enum(["reset", "unavailable"]).default("reset"),
    forMs: z.int().min(1).max(600_000).default(1_000),
  }),
  /** Answers a submission with 500 and does not queue it. */
  z.strictObject({ type: z.literal("refuse_prompt"), promptId, times }),
  /** Queues and runs a submission, and answers 500 all the same. */
  z.strictObject({ type: z.literal("fail_accepted_prompt"), promptId, times }),
  /** Queues and runs a submission, and resets the connection instead of answering. */
  z.strictObject({ type: z.literal("reset_accepted_prompt"), promptId, times }),
  /**
   * A node fails with `torch.OutOfMemoryError`. `POST /free` ends the fault, however often it was to strike, unless it
   * is `persistent`.
   */
  z.strictObject({
    type: z.literal("out_of_memory"),
    ...failingPlace,
    persistent: z.boolean().default(false),
  }),
  /** A node fails with an exception, and a traceback that names files of the host. */
  z.strictObject({
    type: z.literal("fail_node"),
    ...failingPlace,
    exceptionType: z.string().min(1).default("ValueError"),
    message: z.string().default("a fault was ordered"),
  }),
  /** Somebody else interrupts what runs. */
  z.strictObject({ type: z.literal("interrupt"), ...placeOrNow }),
  /**
   * Finds fault with an output node of a submission: the answer is 200 with `node_errors`. `nodeId` names the node;
   * default: the first output node. If it is the only one, what it depends on runs without it.
   */
  z.strictObject({ type: z.literal("partial_validity"), promptId, nodeId: z.string().optional(), times }),
  /** `GET /view` of a file that a prompt has saved answers 404. */
  z.strictObject({ type: z.literal("lose_output"), promptId, times }),
  /** `GET /view` sends no more than so many bytes a second. */
  z.strictObject({
    type: z.literal("slow_download"),
    promptId,
    bytesPerSecond: z.int().min(1),
    times,
  }),
  /** `GET /view` announces the whole length and cuts the connection after `afterBytes`. Default: after half of it. */
  z.strictObject({
    type: z.literal("truncated_download"),
    promptId,
    afterBytes: z.int().min(0).optional(),
    times,
  }),
  /**
   * The record of a prompt appears only `delayMs` milliseconds after its last event. Until then it is shown as running,
   * while the next prompt may have started.
   */
  z.strictObject({ type: z.literal("late_history"), promptId, delayMs: z.int().min(1).max(600_000), times }),
]);

/** A fault with all its defaults filled in. Each kind is described at its place in the schema above. */
export type Fault = z.output<typeof faultSchema>;

/** A fault as it is ordered: fields with a default may be left out. */
export type FaultOrder = z.input<typeof faultSchema>;

/** Names of the kinds of faults. */
export type FaultType = Fault["type"];

/** Faults of one kind. */
export type FaultOf<Type extends FaultType> = Extract<Fault, { readonly type: Type }>;

/** Where a run has come to: at the start of the prompt, of a node, or before a step of it. */
export interface RunPoint {
  readonly promptId: string;
  readonly classType?: string;
  readonly step?: number;
}

/** Kinds of faults that strike while a prompt runs. */
const RUN_FAULTS = [
  "drop_socket",
  "mute_socket",
  "stall",
  "restart",
  "refuse",
  "out_of_memory",
  "fail_node",
  "interrupt",
] as const;

/** A fault that strikes while a prompt runs. */
export type RunFault = FaultOf<(typeof RUN_FAULTS)[number]>;

/**
 * Faults that have been ordered and have yet to strike. They strike in the order in which they were ordered; several may
 * strike at the same point.
 */
export class FaultPlan {
  readonly #pending: Fault[] = [];
  readonly #strikeNow: (fault: RunFault) => void;
  #stall: PromiseWithResolvers<void> | undefined;

  /** @param strikeNow carries out faults that are not to wait for a prompt */
  constructor(strikeNow: (fault: RunFault) => void) {
    this.#strikeNow = strikeNow;
  }

  /**
   * Orders a fault.
   *
   * @throws z.ZodError if it is no fault
   */
  order(order: FaultOrder): Fault {
    const fault = parseFault(order);
    if ("now" in fault && fault.now) {
      this.#strikeNow(fault);
    } else {
      this.#pending.push(fault);
    }
    return fault;
  }

  /** Faults that have yet to strike, with how often. A stall that has struck is not among them. */
  pending(): readonly Fault[] {
    return [...this.#pending];
  }

  /** Whether the worker stands still because of a stall. */
  get stalled(): boolean {
    return this.#stall !== undefined;
  }

  /** Drops all faults, and ends a stall. What has been done to connections stays done. */
  clear(): void {
    this.#pending.length = 0;
    this.#stall?.resolve();
    this.#stall = undefined;
  }

  /** Memory has been freed: it suffices again. */
  memoryFreed(): void {
    for (const fault of this.pending()) {
      if (fault.type === "out_of_memory" && !fault.persistent) {
        this.#pending.splice(this.#pending.indexOf(fault), 1);
      }
    }
  }

  /** Uses up one strike of the first fault of `type` for this prompt. */
  take<Type extends FaultType>(type: Type, promptIdOfEvent: string | undefined): FaultOf<Type> | undefined {
    const fault = this.#pending.find(
      (candidate): candidate is FaultOf<Type> =>
        candidate.type === type &&
        (candidate.promptId === undefined || candidate.promptId === promptIdOfEvent),
    );
    if (fault) {
      this.#useUp(fault);
    }
    return fault;
  }

  /** Uses up one strike of every fault that is due at `point`, and returns them. */
  due(point: RunPoint): readonly RunFault[] {
    if (this.#pending.length === 0) {
      return NONE;
    }
    const due = this.#pending.filter((fault): fault is RunFault => isRunFault(fault) && isDue(fault, point));
    for (const fault of due) {
      this.#useUp(fault);
    }
    return due;
  }

  /** Waits until the stall is cleared, or `signal` is aborted. */
  async stallUntilCleared(signal: AbortSignal): Promise<void> {
    this.#stall ??= Promise.withResolvers<void>();
    const { promise, resolve } = this.#stall;
    signal.addEventListener("abort", () => resolve(), { once: true });
    if (signal.aborted) {
      resolve();
    }
    await promise;
    this.#stall = undefined;
  }

  #useUp(fault: Fault): void {
    const index = this.#pending.indexOf(fault);
    if (fault.times > 1) {
      this.#pending[index] = { ...fault, times: fault.times - 1 };
    } else {
      this.#pending.splice(index, 1);
    }
  }
}

/**
 * Reads a fault from JSON.
 *
 * @throws z.ZodError if it is none
 */
export function parseFault(json: unknown): Fault {
  return faultSchema.parse(json);
}

const NONE: readonly RunFault[] = [];

function isRunFault(fault: Fault): fault is RunFault {
  return (RUN_FAULTS as readonly string[]).includes(fault.type);
}

function isDue(fault: RunFault, point: RunPoint): boolean {
  return (
    (fault.promptId === undefined || fault.promptId === point.promptId) &&
    (fault.step !== undefined
      ? fault.step === point.step && (fault.classType === undefined || fault.classType === point.classType)
      : fault.classType === point.classType && point.step === undefined)
  );
}
