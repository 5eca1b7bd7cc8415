import { fileURLToPath } from "node:url";
import { commonNodeClasses } from "../catalog/common-node-classes.ts";
import type { Config } from "../config/config.ts";
import type { Engine } from "../engine/engine.ts";
import { systemClock } from "../lib/clock.ts";
import type { TemplateStore } from "../storage/template-store.ts";
import type { Logger } from "../telemetry/logger.ts";
import { importTemplates } from "../templates/import-templates.ts";
import { TemplateFileError } from "../templates/template-file.ts";
import { TemplateService } from "../templates/template-service.ts";
import { workflowLimits } from "./options.ts";
import { StartProblem } from "./start-problem.ts";

/**
 * Registers the templates of the directory that `config` names, or those that come with the service.
 *
 * @throws StartProblem if it is not there, or a file in it cannot be used
 */
export async function importConfiguredTemplates(
  config: Config,
  store: TemplateStore,
  logger: Logger,
): Promise<void> {
  const directory = config.templatesDirectory ?? fileURLToPath(shippedTemplates);
  const signal = AbortSignal.timeout(importTimeoutMs);
  try {
    for (const { name, version } of await importTemplates(
      directory,
      "",
      store,
      workflowLimits(config),
      signal,
    )) {
      logger.info({ name, version }, "registered a template");
    }
  } catch (error) {
    if (error instanceof TemplateFileError) {
      throw new StartProblem(error.message, { cause: error });
    }
    if (error instanceof Error && "code" in error && "path" in error) {
      throw new StartProblem(`COMFYRPC_TEMPLATES_DIR: ${error.message}`, { cause: error });
    }
    throw error;
  }
}

/** Makes what callers can do with templates. */
export function createTemplateService(
  config: Config,
  templates: TemplateStore,
  engines: readonly Engine[],
): TemplateService {
  return new TemplateService({
    templates,
    workflowLimits: workflowLimits(config),
    nodeClasses: (signal) => commonNodeClasses(engines, nodeClassesMaxAgeMs, signal),
    clock: systemClock,
  });
}

const shippedTemplates = new URL("../../templates/", import.meta.url);
const importTimeoutMs = 30_000;
const nodeClassesMaxAgeMs = 60_000;
