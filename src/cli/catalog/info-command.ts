import { Command } from "commander";
import { z } from "zod";
import { ServerInfoSchema } from "../../../gen/comfyrpc/v1/server_info_pb.js";
import { createCatalogClient } from "../catalog-client.ts";
import { addConnectionOptions, openConnection } from "../connection-options.ts";
import { DeliveryError } from "../delivery-error.ts";
import { jsonLine } from "../event-json.ts";
import { callExitCodeHelp, ExitCode } from "../exit-code.ts";
import { finishCommand } from "../finish-command.ts";
import type { CliContext } from "../io.ts";
import { reportFailures } from "../report-failures.ts";
import { infoLines } from "./info-lines.ts";

/** `comfyrpc info`: shows what a service is and allows. */
export function infoCommand(context: CliContext): Command {
  const command = new Command("info")
    .summary("show the limits of the service")
    .description("Shows the version of the service, its backends, and what it allows at most.")
    .option("--json", "write it as a line of JSON")
    .action(() => finishCommand(context, () => showInfo(command, context)));
  return addConnectionOptions(command).addHelpText("after", `\n${callExitCodeHelp}`);
}

async function showInfo(command: Command, context: CliContext): Promise<ExitCode> {
  const { json } = InfoFlags.parse(command.opts());
  const { channel, serverName } = await openConnection(command);
  using _ = channel;
  return await reportFailures(context, { serverName, json }, async () => {
    const { serverInfo } = await createCatalogClient(channel).getServerInfo(context.signal);
    if (!serverInfo) throw new DeliveryError("the service said nothing about itself");
    if (json) context.stdout.write(jsonLine(ServerInfoSchema, serverInfo));
    else for (const line of infoLines(serverInfo)) context.stdout.write(`${line}\n`);
    return ExitCode.ok;
  });
}

const InfoFlags = z.object({ json: z.boolean().default(false) });
