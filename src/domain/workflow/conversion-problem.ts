/** Something about a saved workflow that cannot be converted, or that the caller may want to know. */
export interface ConversionProblem {
  readonly kind: ConversionProblemKind;
  /** Whether the graph cannot be what the editor would have run. Warnings leave it as good as the editor's. */
  readonly severity: "error" | "warning";
  /** As in the graph: of a node within subgraphs, the ids of those around it come first, as in `12:5`. Empty for the whole. */
  readonly nodeId: string;
  /** Empty if it is about the workflow as a whole. */
  readonly classType: string;
  /** Of the node, if it was given one. */
  readonly title?: string;
  readonly inputName?: string;
  /** What is wrong, for people. Never holds a prompt. */
  readonly message: string;
  /** What to do about it, for people. */
  readonly remedy: string;
  /** The name of the class that is not known, where that is the matter. */
  readonly unknownName?: string;
}

export type ConversionProblemKind =
  /** It is not what the editor saves. */
  | "malformed_workflow"
  /** A node without an id or a type, or with the id of another. */
  | "malformed_node"
  | "missing_node_type"
  /** The backend has the class, and says nothing by which saved values could be told apart. */
  | "class_not_described"
  /** A node of the editor's former way to group nodes, which it has given up. */
  | "group_node"
  /** A subgraph that contains itself. */
  | "recursive_subgraph"
  /** Subgraphs within subgraphs add up to more nodes than anybody runs. */
  | "too_many_nodes"
  /** A link from a node or an output that is not there. */
  | "bad_link"
  /** Links through nodes that only the editor knows lead back to where they began. */
  | "link_cycle"
  /** An input that gets nothing, as what it was linked to is muted, or bypassed with nothing to pass on. */
  | "link_dropped"
  /** A value that only the editor can make, such as a picture of the webcam. */
  | "editor_only_value"
  /** A saved value that cannot be one of its input: the values may be those of another version of the class. */
  | "value_out_of_step"
  /** A prompt that the editor would draw lots for. */
  | "random_choice"
  /** A note or a label, which is nothing to run. */
  | "note_left_out";
