import type { Command } from "commander";
import { createAssetClient } from "./asset-client.ts";
import { openConnection } from "./connection-options.ts";
import type { ExitCode } from "./exit-code.ts";
import type { Generation } from "./generation-options.ts";
import { createImageClient } from "./image-client.ts";
import type { CliContext } from "./io.ts";
import { JobFlags, toJobRequest } from "./job-options.ts";
import { runGenerate } from "./run-generate.ts";

/** Has the service do what a command asks for, and saves what comes of it. */
export async function callService(
  { spec, options }: Generation,
  command: Command,
  context: CliContext,
): Promise<ExitCode> {
  const flags = JobFlags.parse(command.opts());
  spec.detach = flags.detach;
  spec.allowReuse = flags.reuse;
  const { channel, serverName } = await openConnection(command);
  using _ = channel;
  return await runGenerate(
    createImageClient(channel),
    spec,
    { ...options, serverName, job: toJobRequest(flags), assets: createAssetClient(channel) },
    context,
    context.signal,
  );
}
