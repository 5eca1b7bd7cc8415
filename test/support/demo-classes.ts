import type { NodeClasses } from "../../src/domain/node-class.ts";
import { parseNodeClasses } from "../../src/engine/comfyui/node-class.ts";
import { parseWireJson } from "../../src/engine/comfyui/wire-json.ts";
import { type Json, stringifyJson } from "../../src/engine/demo/json.ts";
import { createModelCatalog } from "../../src/engine/demo/models.ts";
import type { Surroundings } from "../../src/engine/demo/nodes/node.ts";
import { nodeClasses } from "../../src/engine/demo/nodes/registry.ts";
import { objectInfoOf } from "../../src/engine/demo/object-info.ts";
import { validatePrompt } from "../../src/engine/demo/validate.ts";

/** Of an engine that nobody has started: whatever file a graph asks for is there. */
const surroundings: Surroundings = {
  models: createModelCatalog(),
  files: {
    directories: { output: "/nowhere", input: "/nowhere", temp: "/nowhere" },
    inputs: () => ["example.png"],
    pathOf: () => import.meta.filename,
    save: () => Promise.resolve([]),
    clearTemp: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  },
};

/** The node classes of the built-in engine, as the service knows them from what the engine says of itself. */
export const demoClasses: NodeClasses = parseNodeClasses(
  Object.fromEntries(
    [...nodeClasses].map(([name, definition]) => [
      name,
      parseWireJson(stringifyJson(objectInfoOf(definition, surroundings))),
    ]),
  ),
).classes;

/** Whether the built-in engine would run the graph, with all of its outputs. */
export function demoAccepts(graph: Json): boolean {
  const validation = validatePrompt(graph, undefined, nodeClasses, surroundings);
  return validation.ok && Object.keys(validation.nodeErrors).length === 0;
}
