import type { WorkflowGraph } from "../domain/graph.ts";
import type { ModelNames } from "../domain/model-kind.ts";
import type { NodeClasses } from "../domain/node-class.ts";
import type { PixelSize } from "../domain/resolve/resolve-inputs.ts";

/**
 * Runs workflow graphs and keeps what they make until it is fetched: a ComfyUI server, or something that stands for
 * one. Owned by `app.ts`; disposing of it aborts what is under way and closes every connection.
 */
export interface Engine extends AsyncDisposable {
  /** Name of the backend in the configuration, for people and logs. */
  readonly name: string;

  /** How the backend does, as far as known now. Never waits. */
  health(): EngineHealth;

  /** Yields the present health at once, then every change of it, until `signal` is aborted. */
  watchHealth(signal: AbortSignal): AsyncIterable<EngineHealth>;

  /**
   * What the backend has. A copy younger than `maxAgeMs` is served from memory at once, and read again in the background
   * once half of that time has passed; an older one only while the backend does not answer.
   *
   * @throws ServiceError `NO_BACKEND` if it cannot be reached and nothing is remembered
   */
  catalog(maxAgeMs: number, signal: AbortSignal): Promise<Catalog>;

  /**
   * The node classes that the backend has, as it describes them; one whose description makes no sense is left out.
   * Remembered and read again as `catalog` is, but first when it is asked for: it is megabytes. The map is the same
   * object as long as the backend says the same.
   *
   * @throws ServiceError `NO_BACKEND` if it cannot be reached and nothing is remembered
   */
  nodeClasses(maxAgeMs: number, signal: AbortSignal): Promise<NodeClasses>;

  /**
   * Size that the checkpoint was made for, if its file says so (`modelspec.resolution` in the safetensors header).
   * An answer is remembered; one that cannot be had is `undefined` and no error.
   */
  nativeSize(checkpoint: string, signal: AbortSignal): Promise<PixelSize | undefined>;

  /**
   * Runs `request.graph`, or goes on with a run of it (`request.resume`), and yields what happens, in the order in which
   * the backend reports it; `finished` is the last event. Works by events, and by polling alone where events are
   * missing. A slow consumer loses previews and progress, nothing else.
   *
   * The prompt belongs to whoever iterates. Leaving the loop early does what aborting `signals.cancel` does, and so does
   * disposing of the engine, unless the prompt was left before by `signals.leave`.
   *
   * @throws ServiceError
   * - `WORKFLOW_REJECTED`: refused, or accepted only in part (what was accepted has been cancelled)
   * - `NODE_FAILED`, `OUT_OF_MEMORY`: a node failed; `details.nodes` names it
   * - `PROMPT_LOST`: the backend is there and has forgotten the prompt (a restart), or never got the one to resume; safe
   *   to run again under a new id, as the old one is cancelled should it still arrive
   * - `PROMPT_INTERRUPTED`: stopped by somebody else; safe to run again under a new id
   * - `PROMPT_LEFT`: the prompt is no business of this run any more, by `signals.leave` or `request.maySubmit`; it is
   *   left as it is
   * - `INPUT_REJECTED`: not submitted, since an input is larger than the backend takes
   * - `NO_BACKEND`: not submitted, since the backend cannot be reached; safe to run again under a new id
   * - `BACKEND_LOST`: out of reach for too long; whether the prompt still runs is not known. `resume` it when the
   *   backend is back, or `abandon` it
   * - `BACKEND_STALLED`: it shows no sign of work on the prompt; cancelling has been tried
   * - `BACKEND_PROTOCOL`: its answer makes no sense, or it does not store an input
   * - `CANCELLED_BY_CALLER`: see `signals.cancel`
   */
  run(request: RunRequest, signals: RunSignals): AsyncIterable<RunEvent>;

  /**
   * Has the backend cancel a prompt that nobody waits for any more: now, or as soon as it can be reached. Meant for one
   * that a run has lost or left and that nobody will resume; such a prompt must not be resumed after that. Never waits
   * and never fails; what is not done when the engine is disposed of is not done at all.
   */
  abandon(promptId: string): void;

  /**
   * Opens an output file for reading.
   *
   * @throws ServiceError `NO_OUTPUT` if it is not there, or does not arrive whole, also after trying again;
   * `BACKEND_LOST` if the backend cannot be reached
   */
  openOutput(file: OutputFile, signal: AbortSignal): Promise<OutputStream>;

  /** Asks the backend to unload its models and drop its caches once the running prompt has ended. */
  freeMemory(signal: AbortSignal): Promise<void>;

  /**
   * Has the backend drop its record of an ended prompt soon, whose graph would otherwise stay in its memory. Of use only
   * after its outputs have been fetched. Never waits and never fails: a record that stays does no harm, and is logged.
   */
  forget(promptId: string): void;
}

/** Whether a backend can run prompts, as in `BackendState` of the public API. */
export type EngineState = "connecting" | "up" | "degraded" | "down";

export interface EngineHealth {
  readonly state: EngineState;
  /** Why it is not `up`, in words; empty if it is. Free of addresses. */
  readonly reason: string;
  /** When `state` last changed. */
  readonly since: Date;
  /** Version of ComfyUI that it reports; empty until known. */
  readonly version: string;
  /** Whether it says that it is the built-in engine. */
  readonly builtIn: boolean;
  /** Prompts in its queue, running and foreign ones included, as it last said. */
  readonly queueDepth: number;
}

/** Whether a backend in this health takes prompts. */
export function isUsable({ state }: EngineHealth): boolean {
  return state === "up" || state === "degraded";
}

/** What a backend has, each list in the order in which the backend gives it. */
export interface Catalog {
  readonly models: ModelNames;
  readonly samplers: readonly string[];
  readonly schedulers: readonly string[];
}

export interface RunRequest {
  /** Id of the prompt: a lowercase UUID, chosen and remembered by the caller, and never used for another graph. */
  readonly promptId: string;
  readonly graph: WorkflowGraph;
  /**
   * Files that the graph reads. The backend has them before the graph is submitted: those that it lacks are uploaded. Of
   * no effect for a prompt to resume, as it has been submitted with them.
   */
  readonly inputs: readonly InputFile[];
  /** Whether previews are wanted. */
  readonly previews: boolean;
  /**
   * The prompt may have been submitted before, by this process or by one that is gone: it is looked for on the backend,
   * followed if it is there, and never submitted. If it has ended, the run ends as the prompt did. If it is not there at
   * a second look either, the run ends by `PROMPT_LOST`; between the two there is a pause, as a submission may still be
   * on its way. Its events go to whoever submitted it, so that only `submitted`, `started` and `finished` come.
   */
  readonly resume: boolean;
  /**
   * Asked right before the prompt is sent, each time that it is: if it says no, nothing is sent, and the run ends by
   * `PROMPT_LEFT`. For a caller that may have lost the right to use the backend meanwhile. Must not throw. Default: yes.
   */
  readonly maySubmit?: () => boolean;
}

/** A file for the backend's input directory. */
export interface InputFile {
  /** What the graph calls it: below the input directory, with `/` between folders. Equal names are equal bytes. */
  readonly fileName: string;
  readonly sizeBytes: number;
  readonly mediaType: string;
  /**
   * Its bytes, from the first. May be asked for several times, and not at all. Aborting `signal`, or leaving the loop
   * early, ends the reading. What this throws ends the run as it is.
   */
  open(signal: AbortSignal): AsyncIterable<Uint8Array>;
}

/** How a run is ended from outside. Neither signal has any effect once its last event, or its failure, is on its way. */
export interface RunSignals {
  /**
   * Aborting it cancels the prompt on the backend, and no other prompt. The iteration then ends only when the backend's
   * record proves the end, or after a bound of the implementation: by `finished` if the work was done all the same, else
   * by `CANCELLED_BY_CALLER`.
   */
  readonly cancel: AbortSignal;
  /**
   * Aborting it ends the iteration at once by `PROMPT_LEFT` and leaves the prompt on the backend as it is, for another
   * process to follow. Only a submission that is being sent gets a second to be answered, as one that is cut off may
   * arrive or not; if the answer is that it is queued, `submitted` is told first. Prevails over `cancel`: one that is
   * under way is broken off, and may take effect or not.
   */
  readonly leave: AbortSignal;
}

/** Something that the backend reported about a prompt. */
export type RunEvent =
  /** The backend has put the prompt into its queue. */
  | { readonly type: "submitted" }
  /** It has begun to run it, and takes these nodes from its cache. */
  | { readonly type: "started"; readonly cachedNodeIds: readonly string[] }
  | { readonly type: "nodeStarted"; readonly nodeId: string }
  | { readonly type: "nodeFinished"; readonly nodeId: string }
  /** `value` of `max` steps of a node are done. May fall within a node that has several bars. */
  | { readonly type: "progress"; readonly nodeId: string; readonly value: number; readonly max: number }
  | {
      readonly type: "preview";
      readonly nodeId: string;
      readonly mediaType: "image/jpeg" | "image/png";
      readonly data: Uint8Array;
    }
  /** A node has left an output, while others may still run. Not seen where events are missing. */
  | { readonly type: "output"; readonly output: Output }
  /** The prompt has ended well, and left these outputs: all of them, those seen before included. */
  | { readonly type: "finished"; readonly outputs: readonly Output[] };

/** Something that a node left behind. */
export type Output =
  | {
      readonly kind: "file";
      readonly nodeId: string;
      /** Under which name the node lists it: `images`, `gifs`, `audio`, … */
      readonly key: string;
      readonly file: OutputFile;
    }
  | { readonly kind: "text"; readonly nodeId: string; readonly key: string; readonly text: string };

/** Where a file is on the backend. All three parts are needed to read it. */
export interface OutputFile {
  readonly filename: string;
  readonly subfolder: string;
  readonly type: "output" | "temp" | "input";
}

export interface OutputStream {
  readonly mediaType: string;
  /** Number of bytes, if the backend says it beforehand. */
  readonly sizeBytes: number | undefined;
  /** The bytes, once. Leaving the loop early frees the connection. Throws as `openOutput` does. */
  readonly body: AsyncIterable<Uint8Array>;
}
