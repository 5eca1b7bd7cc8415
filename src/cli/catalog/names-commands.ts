import { Command } from "commander";
import { z } from "zod";
import { SamplerSchema, SchedulerSchema } from "../../../gen/comfyrpc/v1/catalog_pb.js";
import { type CatalogClient, createCatalogClient } from "../catalog-client.ts";
import { addConnectionOptions, openConnection } from "../connection-options.ts";
import { callExitCodeHelp, ExitCode } from "../exit-code.ts";
import { finishCommand } from "../finish-command.ts";
import type { CliContext } from "../io.ts";
import { reportFailures } from "../report-failures.ts";
import { backendOption } from "./backend-option.ts";
import { writeList } from "./write-list.ts";

/** `comfyrpc samplers`: lists the samplers that backends have. */
export function samplersCommand(context: CliContext): Command {
  return namesCommand(context, "samplers", async (client, { backend, json }, signal) => {
    const { samplers } = await client.listSamplers({ backend }, signal);
    writeList(context, samplers, json, {
      schema: SamplerSchema,
      header: ["NAME", "ALSO", "BACKENDS"],
      rowOf: ({ name, aliases, backends }) => [name, aliases.join(", "), backends.join(", ")],
      none: "no samplers",
    });
  });
}

/** `comfyrpc schedulers`: lists the schedulers that backends have. */
export function schedulersCommand(context: CliContext): Command {
  return namesCommand(context, "schedulers", async (client, { backend, json }, signal) => {
    const { schedulers } = await client.listSchedulers({ backend }, signal);
    writeList(context, schedulers, json, {
      schema: SchedulerSchema,
      header: ["NAME", "BACKENDS"],
      rowOf: ({ name, backends }) => [name, backends.join(", ")],
      none: "no schedulers",
    });
  });
}

function namesCommand(
  context: CliContext,
  what: string,
  write: (client: CatalogClient, flags: z.infer<typeof NameFlags>, signal: AbortSignal) => Promise<void>,
): Command {
  const command = new Command(what)
    .summary(`list the ${what} there are`)
    .description(`Lists the ${what} that the backends have, and which of them have each.`)
    .addOption(backendOption())
    .option("--json", "write each as a line of JSON")
    .action(() =>
      finishCommand(context, async () => {
        const flags = NameFlags.parse(command.opts());
        const { channel, serverName } = await openConnection(command);
        using _ = channel;
        return await reportFailures(context, { serverName, json: flags.json }, async () => {
          await write(createCatalogClient(channel), flags, context.signal);
          return ExitCode.ok;
        });
      }),
    );
  return addConnectionOptions(command).addHelpText("after", `\n${callExitCodeHelp}`);
}

const NameFlags = z.object({ backend: z.string().default(""), json: z.boolean().default(false) });
