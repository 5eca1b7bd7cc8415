import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, it } from "vitest";
import { readJson } from "../../lib/lossless-json.ts";
import type { GraphNode, GraphValue, WorkflowGraph } from "../graph.ts";
import type { NodeClass, NodeInput } from "../node-class.ts";
import { convertWorkflow } from "./convert-workflow.ts";
import { type Drawing, drawWorkflow, groupId } from "./testing/draw-workflow.ts";
import { readNodeClasses } from "./testing/node-classes.ts";

const classes = readNodeClasses();

/** Classes whose inputs are all shown by plain widgets, or only linked. */
const names = [
  "CheckpointLoaderSimple",
  "CLIPTextEncode",
  "EmptyLatentImage",
  "ImageBatch",
  "ImageScale",
  "KSampler",
  "LatentUpscaleBy",
  "LoraLoader",
  "PrimitiveFloat",
  "PrimitiveInt",
  "PrimitiveString",
  "SaveImage",
  "SolidMask",
  "VAEDecode",
];

it("makes any graph of what was drawn of it", () => {
  fc.assert(
    fc.property(graphs, drawings, (graph, drawing) => {
      const { graph: converted, problems } = convertWorkflow(drawWorkflow(graph, classes, drawing), classes);
      expect(problems).toEqual([]);
      expect(converted).toEqual(withGroup(graph, drawing));
    }),
    { numRuns: 300 },
  );
});

it("fails for nothing that can be parsed", () => {
  const values = fc.anything({ withBigInt: true, maxDepth: 6, key: fc.constantFrom(...memberNames) });
  fc.assert(
    fc.property(values, fc.array(values), (value, nodes) => {
      expect(convertWorkflow(value, classes).problems).toBeInstanceOf(Array);
      expect(convertWorkflow({ nodes, links: nodes }, classes).problems).toBeInstanceOf(Array);
    }),
    { numRuns: 2_000 },
  );
});

it("links only nodes that are there, whatever became of the file", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...savedTexts()),
      fc.array(edits, { minLength: 1, maxLength: 6 }),
      (text, made) => {
        const workflow = readJson(text);
        for (const edit of made) {
          applyEdit(workflow, edit);
        }
        const { graph } = convertWorkflow(workflow, classes);
        for (const { inputs } of Object.values(graph)) {
          for (const value of Object.values(inputs)) {
            expect(value).toBeDefined();
            if (Array.isArray(value)) {
              expect(value).toEqual([expect.any(String), expect.any(Number)]);
              expect(graph).toHaveProperty([String(value[0])]);
            }
          }
        }
      },
    ),
    { numRuns: 500 },
  );
});

/** A change of a file: the member at a place of it becomes `value`, or is taken out. */
interface Edit {
  /** From 0 to 1, of all members. */
  readonly place: number;
  readonly value?: unknown;
}

const edits: fc.Arbitrary<Edit> = fc.record(
  {
    place: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    value: fc.constantFrom(
      null,
      -20,
      -10,
      0,
      1,
      4,
      31,
      "",
      "x",
      "-10",
      true,
      [],
      {},
      "PrimitiveNode",
      "Reroute",
      "GetNode",
    ),
  },
  { requiredKeys: ["place"] },
);

function applyEdit(workflow: unknown, edit: Edit): void {
  const members = [...membersOf(workflow)];
  const [holder, key] = members[Math.floor(edit.place * members.length)] ?? [];
  if (holder === undefined || key === undefined) {
    return;
  }
  if ("value" in edit) {
    Reflect.set(holder, key, structuredClone(edit.value));
  } else if (Array.isArray(holder)) {
    holder.splice(Number(key), 1);
  } else {
    Reflect.deleteProperty(holder, key);
  }
}

function* membersOf(value: unknown): Generator<readonly [object, string]> {
  if (typeof value === "object" && value !== null) {
    for (const [key, member] of Object.entries(value)) {
      yield [value, key];
      yield* membersOf(member);
    }
  }
}

function savedTexts(): readonly string[] {
  const folder = new URL("testdata/", import.meta.url);
  return readdirSync(folder)
    .filter((file) => file.endsWith(".api.json"))
    .map((file) => readFileSync(new URL(file.replace(".api.json", ".json"), folder), "utf8"));
}

const memberNames = [
  "nodes",
  "links",
  "definitions",
  "subgraphs",
  "id",
  "type",
  "mode",
  "inputs",
  "outputs",
  "properties",
  "proxyWidgets",
  "widgets_values",
  "link",
  "widget",
  "name",
  "__proto__",
];

/** Drawing turns the ids of the nodes in the group into those of nodes within a subgraph. */
function withGroup(graph: WorkflowGraph, { grouped }: Drawing): WorkflowGraph {
  const rename = (id: string) => (grouped.has(id) && id in graph ? `${groupId}:${id}` : id);
  return Object.fromEntries(
    Object.entries(graph).map(([id, node]) => [
      rename(id),
      {
        ...node,
        inputs: Object.fromEntries(
          Object.entries(node.inputs).map(([name, value]) => [
            name,
            Array.isArray(value) ? [rename(String(value[0])), value[1]] : value,
          ]),
        ),
      },
    ]),
  );
}

const ids = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];

const drawings: fc.Arbitrary<Drawing> = fc.record({
  hasObjectLinks: fc.boolean(),
  hasNamedValues: fc.boolean(),
  reroutes: fc.dictionary(fc.constantFrom(...ids, groupId), fc.integer({ min: 0, max: 3 })),
  grouped: fc.subarray(ids).map((chosen) => new Set(chosen)),
});

/** Each node is linked to nodes before it, wherever their outputs suit. */
const graphs: fc.Arbitrary<WorkflowGraph> = fc
  .array(fc.constantFrom(...names), { minLength: 1, maxLength: ids.length })
  .chain((chosen) => fc.tuple(...chosen.map((name, i) => nodes(name, chosen.slice(0, i)))))
  .map((made) => Object.fromEntries(made.map((node, i) => [ids[i], node])));

function nodes(name: string, before: readonly string[]): fc.Arbitrary<GraphNode> {
  const { inputs } = classOf(name);
  const values = Object.fromEntries(inputs.map((input) => [input.name, valuesOf(input, before)]));
  return fc.record({
    class_type: fc.constant(name),
    inputs: fc
      .record(values)
      .map((all) =>
        Object.fromEntries(
          Object.entries(all).flatMap(([input, value]) =>
            value === undefined ? [] : [[input, value] as const],
          ),
        ),
      ),
    _meta: fc.record({ title: fc.string({ minLength: 1 }) }),
  });
}

function valuesOf(input: NodeInput, before: readonly string[]): fc.Arbitrary<GraphValue | undefined> {
  const links = before.flatMap((name, i) =>
    classOf(name)
      .outputs.map(({ type }, slot): GraphValue | undefined =>
        type === input.type ? [ids[i] ?? "", slot] : undefined,
      )
      .filter((link) => link !== undefined),
  );
  const values = literals(input);
  return links.length === 0 ? values : fc.oneof(values, fc.constantFrom(...links));
}

function literals({ type, choices = [] }: NodeInput): fc.Arbitrary<GraphValue | undefined> {
  switch (type) {
    case "INT":
      return fc.oneof(fc.integer(), fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }));
    case "FLOAT":
      return fc.double({ noNaN: true, noDefaultInfinity: true });
    case "STRING":
      return fc.string({ unit: fc.constantFrom("a", "B", "7", " ", "\n", "é", "(", ":", "|") });
    case "COMBO":
      return choices.length > 0 ? fc.constantFrom(...choices) : fc.constant("some.safetensors");
    default:
      return fc.constant(undefined);
  }
}

function classOf(name: string): NodeClass {
  const found = classes.get(name);
  if (found === undefined) {
    throw new Error(`no class ${name} in testdata/object-info.json`);
  }
  return found;
}
