import { readJson } from "../../lib/lossless-json.ts";
import { ServiceError } from "../errors.ts";
import type { GraphNode, GraphValue, WorkflowGraph } from "../graph.ts";
import type { GraphProblem } from "./graph-problem.ts";
import { scanJson } from "./scan-json.ts";
import { shortName } from "./short-name.ts";

/** What a workflow text turns out to be. */
export type ParsedWorkflow =
  /** In API format: what ComfyUI runs. */
  | { readonly format: "api"; readonly graph: WorkflowGraph }
  /** As ComfyUI's editor saves it, not looked into any further. */
  | { readonly format: "editor"; readonly workflow: Readonly<Record<string, GraphValue>> }
  /** In API format, with nodes that are none. */
  | { readonly format: "malformed"; readonly problems: readonly GraphProblem[] };

/** Bounds of a workflow text. */
export interface WorkflowLimits {
  /** Most bytes of the text, in UTF-8. */
  readonly maxBytes: number;
  /** Most nodes of a graph in API format. */
  readonly maxNodes: number;
}

/**
 * Reads a workflow: JSON with a graph in API format, or with what ComfyUI's editor saves, or with a whole request body of
 * ComfyUI's `POST /prompt` (`{"prompt": {…}}`), whose other members are ignored. Integers keep all of their digits. Of a
 * node the class, the inputs and the title are kept. Bare `NaN` and `Infinity`, which ComfyUI itself writes into the
 * metadata of images, are read as null.
 *
 * @throws ServiceError `WORKFLOW_INVALID` if the text is not such JSON at all, or beyond a limit
 */
export function parseWorkflow(text: string, limits: WorkflowLimits): ParsedWorkflow {
  const root = readRoot(text, limits);
  if (isObject(root)) {
    if (Array.isArray(root.nodes)) {
      return { format: "editor", workflow: root };
    }
    const { prompt } = root;
    const graph = isObject(prompt) && typeof prompt.class_type !== "string" ? prompt : root;
    return Array.isArray(graph.nodes) ? { format: "editor", workflow: graph } : readGraph(graph, limits);
  }
  throw invalid(
    `the workflow is ${nameOf(root)}; give a JSON object with a node under each node id, as ComfyUI exports it by "Export (API)"`,
  );
}

function readRoot(text: string, { maxBytes }: WorkflowLimits): GraphValue {
  const sizeBytes = Buffer.byteLength(text);
  if (sizeBytes > maxBytes) {
    throw invalid(`the workflow has ${sizeBytes} bytes; this server takes at most ${maxBytes}`);
  }
  if (text.trim() === "") {
    throw invalid("the workflow is empty; give a workflow as JSON text");
  }
  const { depth, longestNumber } = scanJson(text);
  if (depth > deepestNesting) {
    throw invalid(
      `the workflow nests ${depth} lists and objects within each other; ${deepestNesting} at most`,
    );
  }
  if (longestNumber > longestNumberLength) {
    throw invalid(
      `the workflow has a number of ${longestNumber} characters; ${longestNumberLength} at most are allowed`,
    );
  }
  return asGraphValue(parseJson(text), []);
}

function parseJson(text: string): unknown {
  try {
    return readJson(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) {
      throw error;
    }
  }
  try {
    return readJson(text.replace(stringOrBareToken, (token) => (token.startsWith('"') ? token : "null")));
  } catch (error) {
    if (!(error instanceof SyntaxError)) {
      throw error;
    }
    throw invalid(`the workflow is not JSON${placeOf(error, text)}; give it as ComfyUI saves or exports it`);
  }
}

const stringOrBareToken = /"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?$)|-?\bInfinity\b|\bNaN\b/gs;

/** Where the text stops being JSON, as far as the engine says so. Its own words would repeat a piece of the text. */
function placeOf({ message }: SyntaxError, text: string): string {
  const position = /position (\d+)/.exec(message)?.[1];
  if (position === undefined) {
    return "";
  }
  const before = text.slice(0, Number(position));
  const line = before.split("\n").length;
  return ` from line ${line}, column ${before.length - before.lastIndexOf("\n")} on`;
}

/**
 * Makes sure of what JSON text can say and a graph cannot hold.
 *
 * @param path where the value is; the same list for all values, as there are millions
 * @throws ServiceError `WORKFLOW_INVALID`
 */
function asGraphValue(value: unknown, path: string[]): GraphValue {
  switch (typeof value) {
    case "string":
      return wellFormed(value, path);
    case "boolean":
      return value;
    case "number":
      if (!Number.isFinite(value)) {
        throw invalid(`${placeIn(path)}: the number is too large`);
      }
      return value;
    case "bigint":
      if (value < smallestInteger || value > largestInteger) {
        throw invalid(`${placeIn(path)}: the integer is beyond the 64 bits that a graph can have`);
      }
      return value;
    default:
      break;
  }
  if (Array.isArray(value)) {
    return value.map((item: unknown, i) => within(path, `${i}`, () => asGraphValue(item, path)));
  }
  if (typeof value !== "object" || value === null) {
    return null;
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => {
      if (key === "__proto__") {
        throw invalid(`${placeIn(path)}: "__proto__" can be no name here; choose another`);
      }
      return [wellFormed(key, path), within(path, key, () => asGraphValue(member, path))];
    }),
  );
}

/** Has `path` lead on to `name` for as long as `read` works. */
function within(path: string[], name: string, read: () => GraphValue): GraphValue {
  path.push(name);
  const value = read();
  path.pop();
  return value;
}

function wellFormed(text: string, path: readonly string[]): string {
  if (!text.isWellFormed()) {
    throw invalid(`${placeIn(path)}: the text has half of a surrogate pair, which is no character`);
  }
  return text;
}

/** Only the names of the first levels: what is below may be anything. */
function placeIn(path: readonly string[]): string {
  return path.length === 0 ? "the workflow" : path.slice(0, 4).map(shortName).join(".");
}

function readGraph(
  members: Readonly<Record<string, GraphValue>>,
  { maxNodes }: WorkflowLimits,
): ParsedWorkflow {
  const entries = Object.entries(members);
  if (entries.length === 0) {
    throw invalid(
      "the workflow has no nodes; give at least one that leaves something behind, such as SaveImage",
    );
  }
  if (entries.length > maxNodes) {
    throw invalid(`the workflow has ${entries.length} nodes; this server takes at most ${maxNodes}`);
  }
  const longId = entries.find(([id]) => id.length > longestName)?.[0];
  if (longId !== undefined) {
    throw invalid(`the node id "${shortName(longId)}" has more than ${longestName} characters`);
  }
  const problems: GraphProblem[] = [];
  const nodes: [string, GraphNode][] = [];
  for (const [id, value] of entries) {
    const node = readNode(value);
    if ("fault" in node) {
      problems.push(malformed(id, node));
    } else {
      nodes.push([id, node]);
    }
  }
  return problems.length > 0
    ? { format: "malformed", problems }
    : { format: "api", graph: Object.fromEntries(nodes) };
}

interface NodeFault {
  readonly fault: string;
  readonly remedy: string;
  readonly classType?: string;
}

function readNode(value: GraphValue): GraphNode | NodeFault {
  if (!isObject(value)) {
    return {
      fault: `is ${nameOf(value)}`,
      remedy: 'make it an object with "class_type" and "inputs", or take it out',
    };
  }
  const { class_type: classType, inputs, _meta: meta } = value;
  if (typeof classType !== "string" || classType === "") {
    return {
      fault: classType === undefined ? 'has no "class_type"' : `has ${nameOf(classType)} as its "class_type"`,
      remedy: "give the name of its class, such as KSampler",
    };
  }
  if (classType.length > longestName) {
    return {
      fault: `has a "class_type" of more than ${longestName} characters`,
      remedy: "give the name of its class, such as KSampler",
    };
  }
  if (inputs === undefined || !isObject(inputs)) {
    return {
      fault: inputs === undefined ? 'has no "inputs"' : `has ${nameOf(inputs)} as its "inputs"`,
      remedy: "give an object with the inputs by name; {} if there are none",
      classType,
    };
  }
  const title = meta !== undefined && isObject(meta) ? meta.title : undefined;
  return {
    class_type: classType,
    inputs,
    ...(typeof title === "string" && { _meta: { title: title.slice(0, longestName) } }),
  };
}

function malformed(nodeId: string, { fault, remedy, classType = "" }: NodeFault): GraphProblem {
  return {
    kind: "malformed_node",
    severity: "error",
    nodeId,
    classType,
    message: `node "${shortName(nodeId)}" ${fault}`,
    remedy,
  };
}

function isObject(value: GraphValue | undefined): value is Readonly<Record<string, GraphValue>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function nameOf(value: GraphValue): string {
  if (value === null) {
    return "null";
  }
  if (Array.isArray(value)) {
    return "a list";
  }
  switch (typeof value) {
    case "string":
      return value === "" ? "an empty text" : "a text";
    case "boolean":
      return "true or false";
    case "object":
      return "an object";
    default:
      return "a number";
  }
}

function invalid(message: string): ServiceError {
  return new ServiceError("WORKFLOW_INVALID", message);
}

/** Nothing that people draw with comes near it: subgraphs of the editor are not nested in the text. */
const deepestNesting = 100;

const longestNumberLength = 400;

/** Of a node or a class; those of nodes within nested subgraphs are the longest that there are. */
const longestName = 256;

/** Seeds are unsigned, other integers signed, both of 64 bits. */
const smallestInteger = -(2n ** 63n);
const largestInteger = 2n ** 64n - 1n;
