import { hash } from "node:crypto";
import { classOf, inputsOf, linkOf } from "./graph.ts";
import { type JsonObject, stringifyJson } from "./json.ts";

/**
 * A mark for every node of a graph by which its result can be found again: it stands for the node's class, its inputs
 * and all that it depends on, whatever the ids. Nodes that depend on something missing, or on themselves, have none.
 *
 * @param marks what nodes read from elsewhere, by node id
 */
export function signaturesOf(
  graph: JsonObject,
  marks: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const signatures = new Map<string, string>();
  const underway = new Set<string>();
  const signatureOf = (id: string): string | undefined => {
    const known = signatures.get(id);
    if (known !== undefined || underway.has(id) || graph[id] === undefined) {
      return known;
    }
    underway.add(id);
    const signature = compute(id);
    underway.delete(id);
    if (signature !== undefined) {
      signatures.set(id, signature);
    }
    return signature;
  };
  const compute = (id: string): string | undefined => {
    const inputs = inputsOf(graph, id);
    const parts: string[] = [classOf(graph, id), marks.get(id) ?? ""];
    for (const name of Object.keys(inputs).sort()) {
      const link = linkOf(inputs[name]);
      const from = link && signatureOf(link.nodeId);
      if (link && from === undefined) {
        return undefined;
      }
      parts.push(name, link ? `>${from}:${link.output}` : `=${stringifyJson(inputs[name])}`);
    }
    return hash("sha1", parts.join("\u0000"), "base64");
  };
  for (const id of Object.keys(graph)) {
    signatureOf(id);
  }
  return signatures;
}
