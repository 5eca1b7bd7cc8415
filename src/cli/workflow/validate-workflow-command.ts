import { Command } from "commander";
import { z } from "zod";
import { DryRunSchema } from "../../../gen/comfyrpc/v1/dry_run_pb.js";
import { addConnectionOptions } from "../connection-options.ts";
import { DeliveryError } from "../delivery-error.ts";
import { jsonLine } from "../event-json.ts";
import { ExitCode } from "../exit-code.ts";
import { finishCommand } from "../finish-command.ts";
import type { CliContext } from "../io.ts";
import { callWorkflows } from "./call-workflows.ts";
import { dryRunLines } from "./problem-lines.ts";
import { addInputOptions, readWorkflow, workflowArgumentHelp } from "./workflow-source.ts";

/** `comfyrpc workflow validate`: says what would become of a workflow. */
export function validateWorkflowCommand(context: CliContext): Command {
  const command = new Command("validate")
    .summary("say what is wrong with a workflow, without running it")
    .description(
      "Says everything that is wrong with a workflow, which backends could run it, and how long that is likely to take. Nothing is run.",
    )
    .argument("<workflow>", workflowArgumentHelp)
    .option("--json", "write all of it as a line of JSON")
    .action((path: string) => finishCommand(context, () => validate(path, command, context)));
  addInputOptions(command);
  return addConnectionOptions(command).addHelpText("after", `\n${validationExitCodeHelp}`);
}

async function validate(path: string, command: Command, context: CliContext): Promise<ExitCode> {
  const { json } = z.object({ json: z.boolean().default(false) }).parse(command.opts());
  const read = await readWorkflow(path, command, context);
  if ("exitCode" in read) return read.exitCode;
  return await callWorkflows(command, context, { json }, async (client) => {
    const { dryRun } = await client.validate({ spec: { workflow: read.workflow } }, context.signal);
    if (dryRun === undefined) throw new DeliveryError("the service said nothing about the workflow");
    if (json) context.stdout.write(jsonLine(DryRunSchema, dryRun));
    else for (const line of dryRunLines(dryRun)) context.stdout.write(`${line}\n`);
    return dryRun.error === undefined ? ExitCode.ok : ExitCode.failed;
  });
}

const validationExitCodeHelp = `Exit codes:
  0    the workflow can be run
  1    something is wrong with it
  2    wrong usage, or the service refused an argument
  3    the service, or every backend, is unavailable
  4    the service did not answer in time
  130  stopped with Ctrl-C
`;
