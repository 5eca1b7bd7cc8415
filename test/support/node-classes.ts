import type { NodeClass } from "../../src/domain/node-class.ts";

/** A node class that takes and gives nothing, unless `facts` say otherwise. */
export function buildNodeClass(name: string, facts: Partial<NodeClass> = {}): NodeClass {
  return {
    name,
    displayName: name,
    description: "",
    category: "",
    inputs: [],
    outputs: [],
    isOutput: false,
    isDeprecated: false,
    isExperimental: false,
    ...facts,
  };
}
