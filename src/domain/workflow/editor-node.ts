import type { UiNode } from "./ui-workflow.ts";

/** What the editor makes of a node of a type that the backend does not run. */
export type EditorRole =
  /** Passes on what comes in, under the same number. */
  | "reroute"
  /** Has a value for the widgets that it is linked to. */
  | "primitive"
  /** Gives what it takes, under a name, to all nodes that get that name. */
  | "setter"
  | "getter"
  /** Is read, or clicked at, and nothing else. */
  | "note"
  /** Gives what it takes to inputs that it finds itself when the editor sends the graph. */
  | "broadcast"
  /** Stands for several nodes, in a way that the editor has given up. */
  | "group";

/**
 * What the editor does with nodes of the type of `node` instead of sending them to the backend; `undefined` if it sends
 * them. Beside its own, these are the types of other people's that are met most.
 */
export function editorRoleOf({ type }: UiNode): EditorRole | undefined {
  if (type.startsWith("workflow>") || type.startsWith("workflow/")) {
    return "group";
  }
  return roles.get(type) ?? (type.startsWith("Anything Everywhere") ? "broadcast" : undefined);
}

/** Under which name a setter gives, and a getter gets. */
export function nameOfVariable({ widgetValues, title }: UiNode): string {
  const [name] = Object.values(widgetValues);
  return typeof name === "string" ? name : title;
}

const roles: ReadonlyMap<string, EditorRole> = new Map<string, EditorRole>([
  ["Reroute", "reroute"],
  ["Reroute (rgthree)", "reroute"],
  ["PrimitiveNode", "primitive"],
  ["SetNode", "setter"],
  ["GetNode", "getter"],
  ["easy setNode", "setter"],
  ["easy getNode", "getter"],
  ["Note", "note"],
  ["MarkdownNote", "note"],
  ["Label (rgthree)", "note"],
  ["Bookmark (rgthree)", "note"],
  ["Fast Actions Button (rgthree)", "note"],
  ["Fast Bypasser (rgthree)", "note"],
  ["Fast Groups Bypasser (rgthree)", "note"],
  ["Fast Groups Muter (rgthree)", "note"],
  ["Fast Muter (rgthree)", "note"],
  ["Mute / Bypass Relay (rgthree)", "note"],
  ["Mute / Bypass Repeater (rgthree)", "note"],
  ["Node Collector (rgthree)", "note"],
  ["Random Unmuter (rgthree)", "note"],
  ["Prompts Everywhere", "broadcast"],
  ["Seed Everywhere", "broadcast"],
]);
