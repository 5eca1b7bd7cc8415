import type { GraphValue } from "./graph.ts";

/**
 * A class of workflow nodes, as a backend describes it (`GET /object_info` of ComfyUI). What it says is what graphs are
 * checked against, and what a saved workflow of the ComfyUI editor is converted by.
 */
export interface NodeClass {
  /** Under which graphs name it: `class_type`. */
  readonly name: string;
  /** For people; the name if it has no other. */
  readonly displayName: string;
  readonly description: string;
  /** Place in the menu of the editor, such as `image/upscaling`. */
  readonly category: string;
  /** Required ones first, then optional ones, each in the order that the class gives: that of the widgets in the editor. */
  readonly inputs: readonly NodeInput[];
  readonly outputs: readonly NodeOutput[];
  /** Whether it is a reason to run a graph. */
  readonly isOutput: boolean;
  readonly isDeprecated: boolean;
  readonly isExperimental: boolean;
  /**
   * Python module that defines it: `nodes` and `comfy_extras.…` are ComfyUI's own, `custom_nodes.…` are others'. Absent if
   * the backend does not say.
   */
  readonly module?: string;
  /**
   * Set if the backend has the class, and describes it in no way that makes sense, so that nothing but its name is known:
   * whatever it has and does is left to the backend.
   */
  readonly isUndescribed?: true;
}

/** An input of a node class. Hidden ones, which the server fills in, are not among them. */
export interface NodeInput {
  readonly name: string;
  readonly isRequired: boolean;
  /** Such as `MODEL`, `INT`, `FLOAT`, `STRING`, `BOOLEAN`, `*` for any, or several with commas between; `COMBO` for a choice. */
  readonly type: string;
  /** What can be chosen, for a `COMBO` whose choices the server lists. */
  readonly choices?: readonly (string | number | boolean)[];
  readonly default?: GraphValue;
  /** Bounds of a number, inclusive. Integers that a `number` cannot hold are `bigint`. */
  readonly min?: number | bigint;
  readonly max?: number | bigint;
  readonly step?: number | bigint;
  /** Every option beside the type, as the server says them: what an editor needs to show the input. */
  readonly options: Readonly<Record<string, GraphValue>>;
}

/** An output of a node class. */
export interface NodeOutput {
  readonly name: string;
  readonly type: string;
  readonly isList: boolean;
}

/** Node classes by name. */
export type NodeClasses = ReadonlyMap<string, NodeClass>;
