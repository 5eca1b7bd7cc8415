import type { Command } from "commander";
import { assetsCommand } from "./assets/assets-command.ts";
import { batchCommand } from "./batch/batch-command.ts";
import { infoCommand } from "./catalog/info-command.ts";
import { modelsCommand } from "./catalog/models-command.ts";
import { samplersCommand, schedulersCommand } from "./catalog/names-commands.ts";
import { nodesCommand } from "./catalog/nodes-command.ts";
import { generateCommand } from "./generate-command.ts";
import { healthCommand } from "./health-command.ts";
import type { CliContext } from "./io.ts";
import { jobsCommand } from "./jobs/jobs-command.ts";
import { replayCommand } from "./replay/replay-command.ts";
import { submitCommand } from "./submit-command.ts";
import { templatesCommand } from "./templates/templates-command.ts";
import { upscaleCommand } from "./upscale-command.ts";
import { workflowCommand } from "./workflow/workflow-command.ts";

/** The commands that only talk to a service, in the order in which the help lists them. */
export function clientCommands(context: CliContext): Command[] {
  return [
    generateCommand(context),
    upscaleCommand(context),
    submitCommand(context),
    batchCommand(context),
    jobsCommand(context),
    replayCommand(context),
    assetsCommand(context),
    templatesCommand(context),
    workflowCommand(context),
    modelsCommand(context),
    samplersCommand(context),
    schedulersCommand(context),
    nodesCommand(context),
    infoCommand(context),
    healthCommand(context),
  ];
}
