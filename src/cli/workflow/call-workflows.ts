import type { Command } from "commander";
import { openConnection } from "../connection-options.ts";
import type { ExitCode } from "../exit-code.ts";
import type { CliContext } from "../io.ts";
import { reportFailures } from "../report-failures.ts";
import { createWorkflowClient, type WorkflowClient } from "../workflow-client.ts";

/** Asks the service of a command about a workflow; failures that can be explained become the exit code. */
export async function callWorkflows(
  command: Command,
  context: CliContext,
  { json }: { readonly json: boolean },
  call: (client: WorkflowClient) => Promise<ExitCode>,
): Promise<ExitCode> {
  const { channel, serverName } = await openConnection(command);
  using _ = channel;
  return await reportFailures(context, { serverName, json }, () => call(createWorkflowClient(channel)));
}
