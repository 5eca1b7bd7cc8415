import { randomUUID } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { WorkflowGraph } from "../src/domain/graph.ts";
import { convertWorkflow } from "../src/domain/workflow/convert-workflow.ts";
import { type ComfyUiClient, createComfyUiClient } from "../src/engine/comfyui/client.ts";
import { isObject } from "../src/engine/comfyui/json-shape.ts";
import { parseNodeClasses } from "../src/engine/comfyui/node-class.ts";
import { resolveOptions } from "../src/engine/comfyui/options.ts";
import { readJson } from "../src/lib/lossless-json.ts";
import { isMissingFile, type ValidationError, validationErrorsOf } from "./validation-errors.ts";

/**
 * Converts every workflow in a folder by the node classes of the ComfyUI at `COMFYUI_URL`, has that check each graph, and
 * prints how many it takes, and why not the others: `npm run convert:templates -- FOLDER`. What it takes is cancelled at
 * once, but may have begun: use a server that nobody else needs, without models, and without a way to the services of
 * others that some nodes call.
 */
const [folder] = process.argv.slice(2);
const { COMFYUI_URL: baseUrl } = process.env;
if (folder === undefined || baseUrl === undefined) {
  console.error("usage: COMFYUI_URL=http://… npm run convert:templates -- FOLDER");
  process.exit(2);
}
const signal = new AbortController().signal;
await using client = createComfyUiClient(resolveOptions({ name: "comfyui", baseUrl }));
const description = readJson(await client.nodeClasses(signal));
const { classes } = parseNodeClasses(isObject(description) ? description : {});

const counts = {
  workflows: 0,
  converted: 0,
  accepted: 0,
  acceptedButForFiles: 0,
  lackingClasses: 0,
  refused: 0,
};
/** Why, to the files that it is true of. */
const reasons = new Map<string, Set<string>>();

for (const file of (await readdir(folder)).filter((name) => name.endsWith(".json")).sort()) {
  const workflow = readJson(await readFile(join(folder, file), "utf8"));
  if (!isObject(workflow) || !Array.isArray(workflow.nodes)) {
    continue;
  }
  counts.workflows += 1;
  const { graph, problems } = convertWorkflow(workflow, classes);
  const errors = problems.filter(({ severity }) => severity === "error");
  if (errors.length === 0) {
    counts.converted += 1;
    await judge(file, graph);
  } else if (errors.every(({ kind }) => kind === "missing_node_type")) {
    counts.lackingClasses += 1;
    note(
      file,
      errors.map(({ classType }) => `the server has no class ${classType}`),
    );
  } else {
    note(
      file,
      errors.map(({ kind, classType, inputName = "" }) => `not converted: ${kind} ${classType} ${inputName}`),
    );
  }
}

const share = (count: number, of: number) => `${count} of ${of} (${((100 * count) / of).toFixed(1)} %)`;
const convertible = counts.workflows - counts.lackingClasses;
console.log(`converted without an error:               ${share(counts.converted, counts.workflows)}`);
console.log(`  of those whose classes the server has:  ${share(counts.converted, convertible)}`);
console.log(
  `accepted by ComfyUI, missing files apart: ${share(counts.accepted + counts.acceptedButForFiles, counts.converted)}`,
);
console.log(`  accepted as they are:                   ${counts.accepted}`);
console.log(`refused:                                  ${counts.refused}`);
for (const [reason, files] of [...reasons].sort(([, a], [, b]) => b.size - a.size)) {
  console.log(
    `${String(files.size).padStart(5)}  ${reason}  (${[...files].slice(0, 3).join(", ")}${files.size > 3 ? ", …" : ""})`,
  );
}

async function judge(file: string, graph: WorkflowGraph): Promise<void> {
  const errors = await check(client, graph);
  const others = errors.filter((error) => !isMissingFile(error));
  if (errors.length === 0) {
    counts.accepted += 1;
  } else if (others.length === 0) {
    counts.acceptedButForFiles += 1;
  } else {
    counts.refused += 1;
    note(
      file,
      others.map(({ type, classType, inputName }) => `refused: ${type} ${classType} ${inputName}`),
    );
  }
}

async function check(comfyui: ComfyUiClient, graph: WorkflowGraph): Promise<readonly ValidationError[]> {
  const promptId = randomUUID();
  const answer = await comfyui.submit({ promptId, clientId: promptId, graph, previews: false }, signal);
  await comfyui.deletePending(promptId, signal);
  await comfyui.interrupt(promptId, signal);
  return validationErrorsOf(answer);
}

function note(file: string, why: readonly string[]): void {
  for (const reason of why) {
    reasons.set(reason, (reasons.get(reason) ?? new Set()).add(file));
  }
}
