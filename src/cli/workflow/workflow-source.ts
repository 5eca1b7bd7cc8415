import { type Command, InvalidArgumentError, Option } from "commander";
import { z } from "zod";
import { readJson, writeJson } from "../../lib/lossless-json.ts";
import { ExitCode } from "../exit-code.ts";
import { imageArgumentHelp, readImageArgument } from "../image-argument.ts";
import type { CliContext } from "../io.ts";
import { addOptionGroup, repeatable } from "../option-groups.ts";
import type { SpecFields } from "../picture-options.ts";
import { plainText } from "../plain-text.ts";
import { readInput } from "../templates/template-call.ts";
import { UsageError } from "../usage-error.ts";
import { writeLines } from "../write-lines.ts";
import { callWorkflows } from "./call-workflows.ts";
import { hasErrors, problemLine } from "./problem-lines.ts";

/** How the argument that names a workflow is described. */
export const workflowArgumentHelp = "file as ComfyUI exports or saves it; - reads standard input";

/** Adds `--set` and `--image`. */
export function addInputOptions(command: Command): void {
  addOptionGroup(command, "Inputs:", [
    new Option(
      "-s, --set <node.input=value>",
      "value of an input: JSON, or else a text; may be given again",
    ).argParser(repeatable(parsePlace)),
    new Option("--image <node.input=image>", `an image: ${imageArgumentHelp}; may be given again`).argParser(
      repeatable(parsePlace),
    ),
  ]);
}

/** A workflow for a spec, or the exit code of a service that cannot convert it. */
export type WorkflowFields = { readonly workflow: SpecFields["workflow"] } | { readonly exitCode: ExitCode };

/**
 * Reads a workflow, with what {@link addInputOptions} gives put into it. If there are values, a workflow of the editor is
 * converted first, by the service.
 *
 * @throws UsageError if a file cannot be read, or a value has no place in the workflow
 */
export async function readWorkflow(
  path: string,
  command: Command,
  context: CliContext,
): Promise<WorkflowFields> {
  const { set, image } = InputFlags.parse(command.opts());
  const text = await readInput(path, context);
  const images: NonNullable<NonNullable<SpecFields["workflow"]>["images"]> = {};
  for (const [place, argument] of image) {
    images[place] = await readImageArgument(argument);
  }
  if (set.length === 0) return { workflow: { json: text, images } };
  let json = "";
  const exitCode = await callWorkflows(command, context, { json: false }, async (client) => {
    const { workflowJson, problems } = await client.convert(text, context.signal);
    json = workflowJson;
    if (!hasErrors(problems)) return ExitCode.ok;
    writeLines(context, problems.map(problemLine));
    return ExitCode.usage;
  });
  return exitCode === ExitCode.ok ? { workflow: { json: withValues(json, set), images } } : { exitCode };
}

type PlacedValue = readonly [place: string, value: string];

const PlacedValues = z.array(z.tuple([z.string(), z.string()])).default([]);
const InputFlags = z.object({ set: PlacedValues, image: PlacedValues });

/** @throws InvalidArgumentError */
function parsePlace(text: string): [place: string, value: string] {
  const [, place, value] = /^([^=]+\.[^=]+)=(.*)$/s.exec(text) ?? [];
  if (place === undefined || value === undefined) {
    throw new InvalidArgumentError("Write it as node.input=value, such as 3.steps=20.");
  }
  return [place, value];
}

const Graph = z.record(z.string(), z.looseObject({ inputs: z.record(z.string(), z.unknown()) }));

/** @throws UsageError for a node that is not in the graph */
function withValues(json: string, values: readonly PlacedValue[]): string {
  const graph = Graph.parse(readJson(json));
  for (const [place, value] of values) {
    const nodeId = Object.keys(graph)
      .filter((id) => place.startsWith(`${id}.`))
      .sort((a, b) => a.length - b.length)[0];
    const node = nodeId === undefined ? undefined : graph[nodeId];
    if (nodeId === undefined || node === undefined) {
      throw new UsageError(
        plainText(`--set ${place}: there is no such node; the workflow has ${Object.keys(graph).join(", ")}`),
      );
    }
    node.inputs[place.slice(nodeId.length + 1)] = readValue(value);
  }
  return writeJson(graph);
}

/** Numbers, true, false, null and structures are what they say; anything else is a text. */
function readValue(text: string): unknown {
  try {
    return readJson(text);
  } catch {
    return text;
  }
}
