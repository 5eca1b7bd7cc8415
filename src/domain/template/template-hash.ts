import { createHash } from "node:crypto";
import { canonicalJson, type JsonLike } from "../../lib/canonical-json.ts";
import type { TemplateContent } from "./workflow-template.ts";

/**
 * SHA-256, in lowercase hexadecimal, of everything that makes a version of a template another one than the last: its
 * description, its graph with titles and file names, its parameters and their order. The order of members in the JSON
 * of the graph is nothing of it.
 */
export function hashTemplate({ name, description, graph, parameters }: TemplateContent): string {
  const members: JsonLike = {
    name,
    description,
    graph: Object.fromEntries(
      Object.entries(graph).map(([id, { class_type, inputs, _meta }]) => [
        id,
        { class_type, inputs, title: _meta?.title ?? "" },
      ]),
    ),
    parameters: parameters.map(
      ({ default: value, min, max, step, maxLength, targets, choices, ...required }) => ({
        ...required,
        targets: targets.map((target) => ({ ...target })),
        choices: [...choices],
        ...(value !== undefined && { default: value }),
        ...(min !== undefined && { min }),
        ...(max !== undefined && { max }),
        ...(step !== undefined && { step }),
        ...(maxLength !== undefined && { maxLength }),
      }),
    ),
  };
  return createHash("sha256").update(canonicalJson(members)).digest("hex");
}
