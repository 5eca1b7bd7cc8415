import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Command, Option } from "commander";
import { z } from "zod";
import { SignAssetUrlResponseSchema } from "../../../gen/comfyrpc/v1/asset_service_pb.js";
import { systemClock } from "../../lib/clock.ts";
import { createAssetClient } from "../asset-client.ts";
import { addConnectionOptions, openConnection } from "../connection-options.ts";
import { jsonLine } from "../event-json.ts";
import { callExitCodeHelp, ExitCode } from "../exit-code.ts";
import { finishCommand } from "../finish-command.ts";
import { formatTime } from "../format-time.ts";
import type { CliContext } from "../io.ts";
import { plainText } from "../plain-text.ts";
import { reportFailures } from "../report-failures.ts";
import { parseDuration } from "../time-values.ts";
import { writeLines } from "../write-lines.ts";

/** `comfyrpc assets link`: makes a link that works without credentials. */
export function linkAssetCommand(context: CliContext): Command {
  const command = new Command("link")
    .summary("make a link to an image")
    .description("Makes a link to an image that works without credentials for a while, and prints it.")
    .argument("<id>", "id of the image")
    .addOption(
      new Option("--ttl <time>", "how long it works, 1s to 7d (default: 1h)").argParser(parseDuration),
    )
    .option("--json", "write link and expiry as a line of JSON")
    .option("-q, --quiet", "write nothing but the link and errors")
    .action((assetId: string) => finishCommand(context, () => linkAsset(assetId, command, context)));
  return addConnectionOptions(command).addHelpText("after", `\n${examples}\n${callExitCodeHelp}`);
}

async function linkAsset(assetId: string, command: Command, context: CliContext): Promise<ExitCode> {
  const { ttl, json, quiet } = LinkFlags.parse(command.opts());
  const { channel, serverName, baseUrl } = await openConnection(command);
  using _ = channel;
  return await reportFailures(context, { serverName, json }, async () => {
    const request = { assetId, ...(ttl === undefined ? {} : { ttl: durationFromMs(ttl) }) };
    const response = await createAssetClient(channel).signAssetUrl(request, context.signal);
    // A service that was not told its public address gives the path only.
    const url = response.url.startsWith("/") ? `${baseUrl}${response.url}` : response.url;
    const { expireTime } = response;
    context.stdout.write(
      json ? jsonLine(SignAssetUrlResponseSchema, { ...response, url }) : `${plainText(url)}\n`,
    );
    if (expireTime && !json && !quiet) {
      writeLines(context, [`works until ${formatTime(expireTime, systemClock.now())}`]);
    }
    return ExitCode.ok;
  });
}

const LinkFlags = z.object({
  ttl: z.number().optional(),
  json: z.boolean().default(false),
  quiet: z.boolean().default(false),
});

const examples = `Examples:
  $ comfyrpc assets link 5f2c…
  $ xdg-open "$(comfyrpc assets link 5f2c… --ttl 10m)"
`;
