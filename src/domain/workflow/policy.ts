import type { GraphNode, GraphValue, WorkflowGraph } from "../graph.ts";
import type { NodeClass, NodeClasses, NodeInput } from "../node-class.ts";
import { isFileInput, isFileName, othersBecause, outsideBecause, textsIn } from "./file-inputs.ts";
import { aboutNode, type GraphProblem } from "./graph-problem.ts";
import { isList, unwrapLiteral } from "./literal.ts";
import { mayCheckByItself } from "./own-checks.ts";

/** What workflows of callers may use. */
export interface WorkflowPolicy {
  /** Names of node classes, in which `*` stands for any characters. None: all. */
  readonly allowedClasses: readonly string[];
  /** Likewise; prevails over what is allowed. */
  readonly deniedClasses: readonly string[];
  /** Whether inputs for files may lead out of the directories of the backend, or to addresses. */
  readonly allowPaths: boolean;
}

/**
 * Finds everything in a graph that callers may not use: node classes, and files, directories and addresses beyond what a
 * node would offer by itself. Every node counts, also one that would not run.
 *
 * Of a class that the backend does not describe, any text may be the name of a file.
 *
 * An input for a file that is linked to another node is refused too, as nobody knows what will come along the link; but
 * not `filename_prefix`, which is overwritten anyway.
 */
export function checkPolicy(
  graph: WorkflowGraph,
  classes: NodeClasses,
  { allowedClasses, deniedClasses, allowPaths }: WorkflowPolicy,
): GraphProblem[] {
  const isAllowed = matcherOf(allowedClasses);
  const isDenied = matcherOf(deniedClasses);
  return Object.entries(graph).flatMap(([id, node]): GraphProblem[] => {
    const name = node.class_type;
    if (isDenied(name) || (allowedClasses.length > 0 && !isAllowed(name))) {
      return [
        {
          ...aboutNode(id, node),
          kind: "class_not_allowed",
          severity: "error",
          message: `this server does not let workflows use the node class ${name.slice(0, 64)}`,
          remedy: "use another one, or ask who runs the server to allow it",
        },
      ];
    }
    return allowPaths ? [] : findPaths(id, node, classes.get(name));
  });
}

function findPaths(id: string, node: GraphNode, nodeClass: NodeClass | undefined): GraphProblem[] {
  const declared = new Map(nodeClass?.inputs.map((input) => [input.name, input]));
  return Object.entries(node.inputs).flatMap(([inputName, value]): GraphProblem[] => {
    const reason = pathReason(nodeClass, inputName, declared.get(inputName), value);
    return reason === undefined
      ? []
      : [
          {
            ...aboutNode(id, node),
            kind: "path_not_allowed",
            severity: "error",
            inputName,
            message: `${inputName} names a file or an address, and ${reason}`,
            remedy:
              "name a file by its place below the directory that the node reads or writes, with / between folders, or give an image with the request",
          },
        ];
  });
}

function pathReason(
  nodeClass: NodeClass | undefined,
  inputName: string,
  input: NodeInput | undefined,
  value: GraphValue,
): string | undefined {
  const isUnknown = nodeClass?.isUndescribed === true; // then any text may be the name of a file
  const isFile =
    (isUnknown && !isList(value)) ||
    (input === undefined || nodeClass === undefined ? isFileName(inputName) : isFileInput(nodeClass, input));
  const choices = isFile ? undefined : input?.choices;
  if (!isFile && choices === undefined) {
    return undefined;
  }
  if (isList(value)) {
    const takesText = isUnknown || (input !== undefined && textTypes.has(input.type));
    return isFile && takesText && inputName !== FILENAME_PREFIX
      ? "is linked to another node, so that nobody knows which"
      : undefined;
  }
  for (const text of textsIn(unwrapLiteral(value))) {
    const others = inputName === FILENAME_PREFIX ? undefined : othersBecause(text);
    const reason =
      others ?? (choices === undefined ? outsideBecause(text) : unlistedBecause(nodeClass, choices, text));
    if (reason !== undefined) {
      return reason;
    }
  }
  return undefined;
}

/**
 * Why a text must not be given where there are choices to take one from, as {@link outsideBecause} says it. ComfyUI's own
 * classes take no other, but those of packages may if they check it by themselves. A backslash is no sign there: models of
 * another system are written so.
 */
function unlistedBecause(
  nodeClass: NodeClass | undefined,
  choices: readonly GraphValue[],
  text: string,
): string | undefined {
  if (nodeClass === undefined || !mayCheckByItself(nodeClass)) {
    return undefined;
  }
  const reason = outsideBecause(text.replaceAll("\\", "/"));
  return reason !== undefined && choices.includes(text) ? undefined : reason;
}

/** Types of inputs that any text can be linked to. */
const textTypes: ReadonlySet<string> = new Set(["STRING", "COMBO"]);

/** Input of the nodes that save files, by which ComfyUI names them. */
export const FILENAME_PREFIX = "filename_prefix";

function matcherOf(patterns: readonly string[]): (name: string) => boolean {
  const matchers = patterns.map(
    (pattern) => new RegExp(`^${pattern.split("*").map(RegExp.escape).join(".*")}$`, "s"),
  );
  return (name) => matchers.some((matcher) => matcher.test(name));
}
