import fc from "fast-check";
import { isServiceError } from "../../src/domain/errors.ts";
import { checkGraph } from "../../src/domain/workflow/check-graph.ts";
import { hasErrors } from "../../src/domain/workflow/graph-problem.ts";
import { type ParsedWorkflow, parseWorkflow } from "../../src/domain/workflow/parse-workflow.ts";
import { checkPolicy } from "../../src/domain/workflow/policy.ts";
import { prefixFiles } from "../../src/domain/workflow/prepare-graph.ts";
import { seedsOf } from "../../src/domain/workflow/seeds.ts";
import { parseJson } from "../../src/engine/demo/json.ts";
import { writeJson } from "../../src/lib/lossless-json.ts";
import { demoAccepts, demoClasses } from "../support/demo-classes.ts";
import { mutateGraph } from "./mutate-graph.ts";
import { RandomGraphs } from "./random-graph.ts";
import { Tape } from "./tape.ts";

/** What happened to a text that was taken for a workflow. */
export type FuzzOutcome = "unreadable" | "editor" | "malformed" | "refused" | "passed";

const graphs = new RandomGraphs(demoClasses);

/** Texts of graphs that are good, or were until they were changed in up to five places. */
export const graphTexts: fc.Arbitrary<string> = fc
  .uint8Array({ minLength: 0, maxLength: 160 })
  .map((bytes) => {
    const tape = new Tape(bytes);
    const mutations = tape.below(6);
    const graph = graphs.next(tape);
    for (let i = 0; i < mutations; i++) {
      mutateGraph(graph, demoClasses, tape);
    }
    return writeJson(graph);
  });

/** Texts of anything that JSON can say, often in the form of a graph, and of what is no JSON any more. */
export const jsonTexts: fc.Arbitrary<string> = fc.oneof(
  fc.json(),
  fc
    .dictionary(
      fc.string(),
      fc.record({ class_type: fc.jsonValue(), inputs: fc.jsonValue() }, { requiredKeys: [] }),
    )
    .map((value) => JSON.stringify(value)),
  fc.tuple(graphTexts, fc.nat(), fc.string({ maxLength: 3 })).map(([text, place, piece]) => {
    const at = place % (text.length + 1);
    return text.slice(0, at) + piece + text.slice(at + 1);
  }),
  fc.string(),
);

/**
 * Holds what the service does with a workflow to its laws: it fails in no other way than by saying what is wrong, and
 * finds a graph good exactly if the built-in engine does.
 *
 * @throws Error if one is broken
 */
export function assertGraphLaws(text: string): FuzzOutcome {
  const parsed = parse(text);
  if (parsed === undefined) {
    return "unreadable";
  }
  if (parsed.format !== "api") {
    return parsed.format;
  }
  checkPolicy(parsed.graph, demoClasses, { allowedClasses: [], deniedClasses: ["Save*"], allowPaths: false });
  const isGood = !hasErrors(checkGraph(parsed.graph, demoClasses));
  if (isGood !== demoAccepts(parseJson(writeJson(parsed.graph)))) {
    throw new Error(`the service finds the graph ${isGood ? "good" : "bad"}, the engine does not`);
  }
  if (!isGood) {
    return "refused";
  }
  seedsOf(parsed.graph, demoClasses);
  const prefixed = prefixFiles(parsed.graph, demoClasses, "comfyrpc/job");
  if (!demoAccepts(parseJson(writeJson(prefixed)))) {
    throw new Error("the graph is bad after its files were given other names");
  }
  return "passed";
}

function parse(text: string): ParsedWorkflow | undefined {
  try {
    return parseWorkflow(text, { maxBytes: 100_000, maxNodes: 100 });
  } catch (error) {
    if (isServiceError(error, "WORKFLOW_INVALID")) {
      return undefined;
    }
    throw error;
  }
}
