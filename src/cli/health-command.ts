import { Command, Option } from "commander";
import { z } from "zod";
import { addConnectionOptions, openConnection } from "./connection-options.ts";
import type { ExitCode } from "./exit-code.ts";
import { finishCommand } from "./finish-command.ts";
import { createImageClient } from "./image-client.ts";
import type { CliContext } from "./io.ts";
import { parseSeconds } from "./option-values.ts";
import { runHealth } from "./run-health.ts";

/** `comfyrpc health`: says whether a service can draw, and how its backends do. */
export function healthCommand(context: CliContext): Command {
  const command = new Command("health")
    .summary("show whether the service can draw")
    .description("Shows whether the service can draw, and the state of each backend.")
    .addOption(
      new Option("-w, --wait <seconds>", "wait this long for it to be ready").argParser(parseSeconds),
    )
    .addOption(
      new Option("--timeout <seconds>", "longest time for one answer")
        .argParser(parseSeconds)
        .default(defaultTimeoutMs, `${defaultTimeoutMs / 1000}`),
    )
    .option("--json", "write the answer as a line of JSON")
    .action(() => finishCommand(context, () => health(command, context)));
  return addConnectionOptions(command).addHelpText("after", `\n${exitCodes}`);
}

const defaultTimeoutMs = 5_000;

const HealthFlags = z.object({
  wait: z.number().default(0),
  timeout: z.number(),
  json: z.boolean().default(false),
});

async function health(command: Command, context: CliContext): Promise<ExitCode> {
  const { wait: waitMs, timeout: timeoutMs, json } = HealthFlags.parse(command.opts());
  const { channel, serverName } = await openConnection(command);
  using _ = channel;
  const options = { waitMs, timeoutMs, json, serverName };
  return await runHealth(createImageClient(channel), options, context, context.signal);
}

const exitCodes = `Exit codes:
  0    ready
  2    wrong usage
  3    not ready, or not to be reached
  130  cancelled with Ctrl-C
`;
