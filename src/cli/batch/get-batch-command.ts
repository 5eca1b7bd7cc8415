import { Command } from "commander";
import { z } from "zod";
import { BatchSchema } from "../../../gen/comfyrpc/v1/batch_pb.js";
import { systemClock } from "../../lib/clock.ts";
import { addConnectionOptions, openConnection } from "../connection-options.ts";
import { DeliveryError } from "../delivery-error.ts";
import { jsonLine } from "../event-json.ts";
import { callExitCodeHelp, ExitCode } from "../exit-code.ts";
import { finishCommand } from "../finish-command.ts";
import type { CliContext } from "../io.ts";
import { createJobClient } from "../job-client.ts";
import { reportFailures } from "../report-failures.ts";
import { batchLines } from "./batch-lines.ts";

/** `comfyrpc batch get`: shows a batch and its jobs. */
export function getBatchCommand(context: CliContext): Command {
  const command = new Command("get")
    .summary("show a batch and its jobs")
    .description("Shows how many jobs of a batch have ended, and all of them.")
    .argument("<id>", "id of the batch")
    .option("--json", "write it as a line of JSON")
    .action((batchId: string) => finishCommand(context, () => getBatch(batchId, command, context)));
  return addConnectionOptions(command).addHelpText("after", `\n${callExitCodeHelp}`);
}

async function getBatch(batchId: string, command: Command, context: CliContext): Promise<ExitCode> {
  const { json } = GetFlags.parse(command.opts());
  const { channel, serverName } = await openConnection(command);
  using _ = channel;
  return await reportFailures(context, { serverName, json }, async () => {
    const { batch } = await createJobClient(channel).getBatch({ batchId }, context.signal);
    if (!batch) throw new DeliveryError("the service said nothing about the batch");
    const width = context.isStdoutTty ? context.columns : undefined;
    if (json) context.stdout.write(jsonLine(BatchSchema, batch));
    else for (const line of batchLines(batch, systemClock.now(), width)) context.stdout.write(`${line}\n`);
    return ExitCode.ok;
  });
}

const GetFlags = z.object({ json: z.boolean().default(false) });
