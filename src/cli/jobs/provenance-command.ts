import { Command } from "commander";
import { z } from "zod";
import { JobProvenanceSchema } from "../../../gen/comfyrpc/v1/provenance_pb.js";
import { systemClock } from "../../lib/clock.ts";
import { addConnectionOptions, openConnection } from "../connection-options.ts";
import { DeliveryError } from "../delivery-error.ts";
import { jsonLine } from "../event-json.ts";
import { callExitCodeHelp, ExitCode } from "../exit-code.ts";
import { finishCommand } from "../finish-command.ts";
import type { CliContext } from "../io.ts";
import { createJobClient } from "../job-client.ts";
import { reportFailures } from "../report-failures.ts";
import { provenanceDetails } from "./provenance-details.ts";

/** `comfyrpc jobs provenance`: shows how a job came to what it made. */
export function jobProvenanceCommand(context: CliContext): Command {
  const command = new Command("provenance")
    .summary("show how a job came to what it made")
    .description(
      "Shows the models, inputs, versions and times behind what a job made; with --graph the graph.",
    )
    .argument("<id>", "id of the job")
    .option("--graph", "write nothing but the graph, in ComfyUI's API format")
    .option("--json", "write all of it as a line of JSON")
    .action((jobId: string) => finishCommand(context, () => showProvenance(jobId, command, context)));
  return addConnectionOptions(command).addHelpText("after", `\n${examples}\n${callExitCodeHelp}`);
}

async function showProvenance(jobId: string, command: Command, context: CliContext): Promise<ExitCode> {
  const { json, graph } = ProvenanceFlags.parse(command.opts());
  const { channel, serverName } = await openConnection(command);
  using _ = channel;
  return await reportFailures(context, { serverName, json }, async () => {
    const { provenance } = await createJobClient(channel).getJobProvenance({ jobId }, context.signal);
    if (!provenance) throw new DeliveryError("the service said nothing about the job");
    const { stdout } = context;
    if (graph) stdout.write(`${provenance.graphJson}\n`);
    else if (json) stdout.write(jsonLine(JobProvenanceSchema, provenance));
    else for (const line of provenanceDetails(provenance, systemClock.now())) stdout.write(`${line}\n`);
    return ExitCode.ok;
  });
}

const ProvenanceFlags = z.object({ graph: z.boolean().default(false), json: z.boolean().default(false) });

const examples = `Examples:
  $ comfyrpc jobs provenance 0b5c7a30-58a5-4d1b-b0a8-2f3c1c6d9e41
  $ comfyrpc jobs provenance 0b5c7a30-… --graph > workflow.json
`;
