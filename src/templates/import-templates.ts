import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { TemplateContent } from "../domain/template/workflow-template.ts";
import type { WorkflowLimits } from "../domain/workflow/parse-workflow.ts";
import type { TemplateRecord, TemplateStore } from "../storage/template-store.ts";
import { parseTemplateFile, TemplateFileError } from "./template-file.ts";

/**
 * Registers the templates of the files `*.json` of a directory, in the order of their names. Those that are registered
 * already, in any version, make no other one. Nothing is registered if one of the files cannot be used.
 *
 * @returns the versions that were made
 * @throws TemplateFileError what is wrong with the first file that cannot be used, by its name
 */
export async function importTemplates(
  directory: string,
  tenant: string,
  store: Pick<TemplateStore, "register">,
  limits: WorkflowLimits,
  signal: AbortSignal,
): Promise<readonly TemplateRecord[]> {
  const files = (await readdir(directory)).filter((name) => name.endsWith(".json")).sort();
  const contents = await Promise.all(
    files.map(async (name) => await readTemplate(join(directory, name), limits, signal)),
  );
  for (const [i, { name }] of contents.entries()) {
    const first = contents.findIndex((content) => content.name === name);
    if (first < i) {
      throw new TemplateFileError(`${files[first]} and ${files[i]} in ${directory} both register ${name}`);
    }
  }
  const registered = await Promise.all(contents.map((content) => store.register(tenant, content, signal)));
  return registered.filter(({ isNew }) => isNew).map(({ template }) => template);
}

async function readTemplate(
  path: string,
  limits: WorkflowLimits,
  signal: AbortSignal,
): Promise<TemplateContent> {
  const text = await readFile(path, { encoding: "utf8", signal });
  try {
    return parseTemplateFile(text, limits);
  } catch (error) {
    if (!(error instanceof TemplateFileError)) {
      throw error;
    }
    throw new TemplateFileError(
      `the template ${path} cannot be used: ${error.message.replaceAll("\n", "; ")}`,
      {
        cause: error,
      },
    );
  }
}
