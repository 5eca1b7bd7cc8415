import type { FileStore } from "../files.ts";
import type { Json, JsonObject } from "../json.ts";
import type { ModelCatalog } from "../models.ts";
import { PythonError, pythonType } from "../python.ts";
import type { Value, ValueOf } from "./value.ts";

/** What the options of an input may depend on. */
export interface Surroundings {
  readonly files: FileStore;
  readonly models: ModelCatalog;
}

/**
 * An input of a node, as in `object_info`: a type with options (`min`, `max`, `default`, …), or a list to choose from,
 * which may depend on what is there.
 */
export interface InputSpec {
  readonly type: string | readonly string[] | ((surroundings: Surroundings) => readonly string[]);
  readonly options?: JsonObject;
  /**
   * How a list is shown: as the type itself (`list`), or in the options of a type named `COMBO`. ComfyUI has both, and
   * moves classes from the first to the second. Default: `list`.
   */
  readonly listForm?: "list" | "combo";
}

/** An output of a node. */
export interface OutputSpec {
  readonly type: string;
  /** Default: the type. */
  readonly name?: string;
}

/** Inputs of a class that a graph may set, by name: the required ones come first. */
export function inputsOfClass({
  required,
  optional = {},
}: NodeDefinition): Readonly<Record<string, InputSpec>> {
  return { ...required, ...optional };
}

/** What a node leaves behind: one value for each of its outputs, and what it shows, if it is an output node. */
export interface NodeResult {
  readonly values: readonly (Value | Json)[];
  readonly ui?: JsonObject;
}

/**
 * A class of nodes. Everything that clients learn of it, and the rules by which graphs are checked, follow from this
 * one definition.
 */
export interface NodeDefinition {
  readonly classType: string;
  readonly displayName: string | null;
  readonly category: string;
  /** Default: `nodes`. */
  readonly pythonModule?: string;
  readonly required: Readonly<Record<string, InputSpec>>;
  /** Inputs that may be left out; those that are there are checked like the others. */
  readonly optional?: Readonly<Record<string, InputSpec>>;
  readonly hidden?: Readonly<Record<string, string>>;
  readonly outputs: readonly OutputSpec[];
  /** Whether its authors advise against it. Default: no. */
  readonly isDeprecated?: boolean;
  /** Whether it is a reason to run a graph. */
  readonly isOutput?: boolean;
  /**
   * Checks of single inputs that take the place of the check against limits and lists. The text says what is wrong;
   * `undefined` means that the value is good.
   */
  readonly checks?: Readonly<Record<string, (value: Json, surroundings: Surroundings) => string | undefined>>;
  /**
   * Mark of what the node reads from elsewhere, such as the content of a file: while the mark stays the same, so does
   * the node's result.
   */
  readonly markOf?: (inputs: NodeInputs, surroundings: Surroundings) => Promise<string>;
  readonly run: (inputs: NodeInputs, context: NodeContext) => NodeResult | Promise<NodeResult>;
}

/** What a running node may use. */
export interface NodeContext extends Surroundings {
  /** The graph as JSON, for the metadata of pictures. */
  readonly graphText: () => string;
  /** `extra_data.extra_pnginfo` of the prompt. */
  readonly extraPngInfo: JsonObject;
  /** Takes as long as loading a checkpoint does when it is not in memory. */
  readonly load: (checkpoint: string) => Promise<void>;
  /**
   * Takes as long as one step of sampling, then reports that `value` of `max` steps are done. `preview`, if there is
   * one, is called only if somebody wants to see it, and makes a JPEG.
   *
   * @throws Interrupted if the prompt has been interrupted
   */
  readonly step: (value: number, max: number, preview?: () => Promise<Buffer>) => Promise<void>;
  /** Runs work that pauses, and lets others have their turn at every pause. */
  readonly draw: <T>(work: Generator<void, T, void>) => Promise<T>;
}

/** The prompt has been interrupted: it ends here, and not as a failure. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}

/** The inputs of a node that runs, links already followed. */
export class NodeInputs {
  readonly #inputs: ReadonlyMap<string, Json | Value>;
  readonly #isLinked: (name: string) => boolean;

  /** `isLinked` tells what came along a link: a literal may look like a value, but is none. Default: everything. */
  constructor(inputs: ReadonlyMap<string, Json | Value>, isLinked: (name: string) => boolean = () => true) {
    this.#inputs = inputs;
    this.#isLinked = isLinked;
  }

  /** Whether an optional input has been set. */
  isGiven(name: string): boolean {
    return this.#inputs.has(name);
  }

  flag(name: string): boolean {
    const value = this.#inputs.get(name);
    return typeof value === "boolean" ? value : this.#wrong(name, "bool");
  }

  text(name: string): string {
    const value = this.#inputs.get(name);
    return typeof value === "string" ? value : this.#wrong(name, "str");
  }

  /** An integer that is known to be small, such as a size. */
  integer(name: string): number {
    const value = this.#inputs.get(name);
    return typeof value === "number" ? Math.trunc(value) : this.#wrong(name, "int");
  }

  /** A seed: 0 to 2^64 − 1. */
  seed(name: string): bigint {
    const value = this.#inputs.get(name);
    if (typeof value === "bigint") {
      return value;
    }
    return typeof value === "number" ? BigInt(Math.trunc(value)) : this.#wrong(name, "int");
  }

  number(name: string): number {
    const value = this.#inputs.get(name);
    return typeof value === "number" ? value : this.#wrong(name, "float");
  }

  /** Whatever has been given or came along a link; `null` if nothing. */
  anything(name: string): Json | Value {
    return this.#inputs.get(name) ?? null;
  }

  /**
   * A value that came along a link.
   *
   * @throws PythonError if there is a literal instead: ComfyUI accepts such a graph and fails when it runs
   */
  value<Kind extends Value["kind"]>(name: string, kind: Kind): ValueOf<Kind> {
    const value = this.#inputs.get(name);
    if (this.#isLinked(name) && isOfKind(value, kind)) {
      return value;
    }
    return this.#wrong(name, kind === "IMAGE" ? "shape" : "model");
  }

  /** The inputs for an error report: literals as they are, everything else by its type. */
  describe(): Record<string, Json[]> {
    return Object.fromEntries(
      [...this.#inputs].map(([name, value]) => [name, [isValue(value) ? `<${value.kind}>` : value]]),
    );
  }

  #wrong(name: string, wanted: string): never {
    const value = this.#inputs.get(name);
    if (value === undefined) {
      throw new PythonError("TypeError", `missing 1 required positional argument: '${name}'`);
    }
    const type = isValue(value) ? value.kind : pythonType(value);
    throw new PythonError("AttributeError", `'${type}' object has no attribute '${wanted}'`);
  }
}

/** Whether it is something that only nodes can make, and no text or number. */
export function isValue(value: Json | Value | undefined): value is Value {
  return typeof value === "object" && value !== null && "kind" in value && typeof value.kind === "string";
}

/** Whether it is a value of that kind. */
export function isOfKind<Kind extends Value["kind"]>(
  value: Json | Value | undefined,
  kind: Kind,
): value is ValueOf<Kind> {
  return isValue(value) && value.kind === kind;
}
