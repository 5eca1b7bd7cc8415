import { Command } from "commander";
import type { CliContext } from "../io.ts";
import { convertWorkflowCommand } from "./convert-workflow-command.ts";
import { runWorkflowCommand } from "./run-workflow-command.ts";
import { validateWorkflowCommand } from "./validate-workflow-command.ts";

/** `comfyrpc workflow`: workflows of ComfyUI as they are. */
export function workflowCommand(context: CliContext): Command {
  return new Command("workflow")
    .summary("run, check and convert workflows of ComfyUI")
    .description("Runs workflows of ComfyUI as they are, says what is wrong with them, and converts them.")
    .addCommand(runWorkflowCommand(context))
    .addCommand(validateWorkflowCommand(context))
    .addCommand(convertWorkflowCommand(context));
}
