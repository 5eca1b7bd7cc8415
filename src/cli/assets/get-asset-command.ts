import { once } from "node:events";
import type { Writable } from "node:stream";
import { Command, Option } from "commander";
import { z } from "zod";
import { type AssetClient, createAssetClient } from "../asset-client.ts";
import { addConnectionOptions, openConnection } from "../connection-options.ts";
import { callExitCodeHelp, ExitCode } from "../exit-code.ts";
import { finishCommand } from "../finish-command.ts";
import type { CliContext } from "../io.ts";
import { lostNotice } from "../lost-notice.ts";
import { PendingFile } from "../pending-file.ts";
import { type Contact, reportFailures } from "../report-failures.ts";
import type { ResumePolicy } from "../resumed.ts";
import { UsageError } from "../usage-error.ts";
import { nameIn, openAssetTarget } from "./asset-target.ts";
import { downloadAsset } from "./download-asset.ts";

/** `comfyrpc assets get`: downloads an image. */
export function getAssetCommand(context: CliContext): Command {
  const command = new Command("get")
    .summary("download an image")
    .description(
      "Downloads an uploaded image or one of a job, checks its SHA-256, and prints the name of the file. Goes on by " +
        "itself after the connection was lost.",
    )
    .argument("<id>", "id of the image")
    .addOption(
      new Option("-o, --out <path>", "directory or file; - writes to standard output").default(
        "./comfyrpc-out/",
      ),
    )
    .option("--overwrite", "replace a file that exists")
    .action((assetId: string) => finishCommand(context, () => getAsset(assetId, command, context)));
  return addConnectionOptions(command).addHelpText("after", `\n${examples}\n${callExitCodeHelp}`);
}

async function getAsset(assetId: string, command: Command, context: CliContext): Promise<ExitCode> {
  const { out, overwrite } = GetFlags.parse(command.opts());
  if (out === "-" && context.isStdoutTty) {
    throw new UsageError(
      "--out -: the bytes of an image do harm to a terminal; redirect them, or name a file",
    );
  }
  const { channel, serverName } = await openConnection(command);
  using _ = channel;
  const client = createAssetClient(channel);
  return await reportFailures(context, { serverName, json: false }, async (contact) => {
    const get = out === "-" ? writeAsset(client, assetId) : saveAsset(client, assetId, out, overwrite);
    await get(policyFor(context, contact), context);
    return ExitCode.ok;
  });
}

type Get = (policy: AssetPolicy, context: CliContext) => Promise<void>;

/** How to go on after a lost connection, and who is told that something came. */
interface AssetPolicy extends ResumePolicy {
  readonly onData: () => void;
}

/** Tries in a row after which nothing is hoped for any more: half a minute of them. */
const maxFailures = 10;

/** A service that was never there is not waited for. */
function policyFor(context: CliContext, contact: Contact): AssetPolicy {
  const tell = lostNotice(context);
  return {
    maxFailures,
    onData: () => {
      contact.hasAnswered = true;
    },
    onLost: (error) => {
      if (!contact.hasAnswered) throw error;
      tell(error);
    },
  };
}

function writeAsset(client: AssetClient, assetId: string): Get {
  return async (policy, { stdout, signal }) => {
    const write = async (bytes: Uint8Array) => {
      policy.onData();
      await writeAll(stdout, bytes, signal);
    };
    await downloadAsset(client, assetId, write, policy, signal);
  };
}

function saveAsset(client: AssetClient, assetId: string, out: string, overwrite: boolean): Get {
  return async (policy, { stdout, signal }) => {
    const target = await openAssetTarget(out, overwrite);
    await using file = await PendingFile.create(target.directory);
    const write = async (bytes: Uint8Array) => {
      policy.onData();
      await file.write(bytes);
    };
    const asset = await downloadAsset(client, assetId, write, policy, signal);
    stdout.write(`${await file.commit(nameIn(target, asset), overwrite)}\n`);
  };
}

async function writeAll(stream: Writable, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  if (!stream.write(bytes)) await once(stream, "drain", { signal });
}

const GetFlags = z.object({ out: z.string(), overwrite: z.boolean().default(false) });

const examples = `Examples:
  $ comfyrpc assets get 5f2c…
  $ comfyrpc assets get 5f2c… --out fox.png
  $ comfyrpc assets get 5f2c… --out - | magick - -resize 50% small.png
`;
