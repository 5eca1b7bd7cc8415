import { Command } from "commander";
import { callService } from "../call-service.ts";
import { addConnectionOptions } from "../connection-options.ts";
import { type ExitCode, exitCodeHelp } from "../exit-code.ts";
import { finishCommand } from "../finish-command.ts";
import { addCallOptions, readCall } from "../generation-options.ts";
import type { CliContext } from "../io.ts";
import { detachOption, jobOptions } from "../job-options.ts";
import { addOptionGroup } from "../option-groups.ts";
import { addInputOptions, readWorkflow, workflowArgumentHelp } from "./workflow-source.ts";

/** `comfyrpc workflow run`: has a running service run a workflow, and saves all that it leaves. */
export function runWorkflowCommand(context: CliContext): Command {
  const command = new Command("run")
    .summary("run a workflow and save what it leaves")
    .description(
      "Runs a workflow as it is, shows how it goes, saves all that it leaves, and prints the names of the files.",
    )
    .argument("<workflow>", workflowArgumentHelp)
    .action((path: string) => finishCommand(context, () => run(path, command, context)));
  addInputOptions(command);
  addCallOptions(command);
  addOptionGroup(command, "Job:", [...jobOptions(), detachOption()]);
  addConnectionOptions(command);
  return command.addHelpText("after", `\n${examples}\n${exitCodeHelp}`);
}

async function run(path: string, command: Command, context: CliContext): Promise<ExitCode> {
  const read = await readWorkflow(path, command, context);
  return "exitCode" in read ? read.exitCode : await callService(readCall(read, command), command, context);
}

const examples = `Examples:
  $ comfyrpc workflow run flow.json
  $ comfyrpc workflow run flow.json --set 3.seed=42 --set 6.text="a red fox"
  $ comfyrpc workflow run inpaint.json --image 10.image=photo.png --out ./doors/
`;
