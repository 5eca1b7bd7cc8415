import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Command, Option } from "commander";
import { z } from "zod";
import { type Asset, AssetSchema } from "../../../gen/comfyrpc/v1/asset_pb.js";
import { systemClock } from "../../lib/clock.ts";
import { createAssetClient } from "../asset-client.ts";
import { addConnectionOptions, openConnection } from "../connection-options.ts";
import { DeliveryError } from "../delivery-error.ts";
import { jsonLine } from "../event-json.ts";
import { callExitCodeHelp, ExitCode } from "../exit-code.ts";
import { finishCommand } from "../finish-command.ts";
import { formatBytes } from "../format-bytes.ts";
import { formatTime } from "../format-time.ts";
import type { CliContext } from "../io.ts";
import { plainText } from "../plain-text.ts";
import { reportFailures } from "../report-failures.ts";
import { parseDuration } from "../time-values.ts";
import { writeLines } from "../write-lines.ts";
import { uploadRequests } from "./upload-requests.ts";
import { openUpload } from "./upload-source.ts";

/** `comfyrpc assets put`: uploads an image. */
export function putAssetCommand(context: CliContext): Command {
  const command = new Command("put")
    .summary("upload an image")
    .description("Uploads an image, and prints its id. The same bytes always have the same id.")
    .argument("<file>", "image to upload; - reads standard input")
    .option("--name <name>", "file name to keep with it (default: that of the file)")
    .option("--sha256 <hex>", "SHA-256 that it must have (default: that of the file)")
    .option("--strip-metadata", "remove place, camera and the like from it, which gives it another id")
    .addOption(
      new Option("--retention <time>", "keep it this long, such as 90m or 7d").argParser(parseDuration),
    )
    .option("--check", "only have it checked, and print the id that it would have")
    .option("--json", "write what the service knows of it as a line of JSON")
    .option("-q, --quiet", "write nothing but the id and errors")
    .action((path: string) => finishCommand(context, () => putAsset(path, command, context)));
  return addConnectionOptions(command).addHelpText("after", `\n${examples}\n${callExitCodeHelp}`);
}

async function putAsset(path: string, command: Command, context: CliContext): Promise<ExitCode> {
  const { name, sha256, stripMetadata, retention, check, json, quiet } = PutFlags.parse(command.opts());
  const { channel, serverName } = await openConnection(command);
  using _ = channel;
  return await reportFailures(context, { serverName, json }, async () => {
    const source = await openUpload(path, context.stdin, context.signal);
    const info = {
      fileName: name ?? source.name,
      sha256: sha256 ?? source.sha256,
      stripMetadata,
      validateOnly: check,
      ...(retention === undefined ? {} : { retention: durationFromMs(retention) }),
    };
    const requests = uploadRequests(info, source.bytes);
    const { asset } = await createAssetClient(channel).uploadAsset(requests, context.signal);
    if (!asset) throw new DeliveryError("the service said nothing about the asset");
    context.stdout.write(json ? jsonLine(AssetSchema, asset) : `${plainText(asset.assetId)}\n`);
    if (!json && !quiet) writeLines(context, [assetLine(asset, check)]);
    return ExitCode.ok;
  });
}

function assetLine({ mediaType, widthPx, heightPx, sizeBytes, expireTime }: Asset, isCheck: boolean): string {
  const until = isCheck ? "would be kept until" : "kept until";
  const kept = expireTime ? `, ${until} ${formatTime(expireTime, systemClock.now())}` : "";
  return `${widthPx}x${heightPx} ${plainText(mediaType)}, ${formatBytes(sizeBytes)}${kept}`;
}

const PutFlags = z.object({
  name: z.string().optional(),
  sha256: z.string().toLowerCase().optional(),
  stripMetadata: z.boolean().default(false),
  retention: z.number().optional(),
  check: z.boolean().default(false),
  json: z.boolean().default(false),
  quiet: z.boolean().default(false),
});

const examples = `Examples:
  $ comfyrpc assets put photo.jpg --strip-metadata
  $ curl -s https://example.com/fox.png | comfyrpc assets put - --name fox.png
`;
