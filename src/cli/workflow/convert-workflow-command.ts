import { Command } from "commander";
import { addConnectionOptions } from "../connection-options.ts";
import { callExitCodeHelp, ExitCode } from "../exit-code.ts";
import { finishCommand } from "../finish-command.ts";
import type { CliContext } from "../io.ts";
import { readInput } from "../templates/template-call.ts";
import { writeLines } from "../write-lines.ts";
import { callWorkflows } from "./call-workflows.ts";
import { hasErrors, problemLine } from "./problem-lines.ts";
import { workflowArgumentHelp } from "./workflow-source.ts";

/** `comfyrpc workflow convert`: prints the graph that ComfyUI's editor would run of what it has saved. */
export function convertWorkflowCommand(context: CliContext): Command {
  const command = new Command("convert")
    .summary("convert a saved workflow to ComfyUI's API format")
    .description(
      "Prints the graph, in ComfyUI's API format, that its editor would run of a workflow. What is left out, or wrong, goes to standard error.",
    )
    .argument("<workflow>", workflowArgumentHelp)
    .action((path: string) =>
      finishCommand(context, async () => {
        const text = await readInput(path, context);
        return await callWorkflows(command, context, { json: false }, async (client) => {
          const { workflowJson, problems } = await client.convert(text, context.signal);
          writeLines(context, problems.map(problemLine));
          if (hasErrors(problems)) return ExitCode.failed;
          context.stdout.write(`${workflowJson}\n`);
          return ExitCode.ok;
        });
      }),
    );
  return addConnectionOptions(command).addHelpText("after", `\n${callExitCodeHelp}`);
}
