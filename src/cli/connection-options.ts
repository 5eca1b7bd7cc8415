import { readFile } from "node:fs/promises";
import { type Command, Option } from "commander";
import { z } from "zod";
import { GrpcChannel } from "./grpc-channel.ts";
import { baseUrlOf, defaultServer, formatServerAddress, parseServerAddress } from "./server-address.ts";
import { isSystemError } from "./system-error.ts";
import { UsageError } from "./usage-error.ts";

/** A way to a service. Dispose of the channel. */
export interface Connection {
  readonly channel: GrpcChannel;
  /** The service, as it is named to people. */
  readonly serverName: string;
  /** The address that paths of the service are put after, such as `http://127.0.0.1:8080`. */
  readonly baseUrl: string;
}

/** Adds `--server`, `--tls` and `--ca` to `command`. */
export function addConnectionOptions(command: Command): Command {
  return command.addOption(server).addOption(tls).addOption(ca);
}

/**
 * Opens what those options say; the connection itself is made with the first call.
 *
 * @throws UsageError if the address cannot be understood, or the file of `--ca` not be read
 */
export async function openConnection(command: Command): Promise<Connection> {
  const flags = ConnectionFlags.parse(command.opts());
  const address = parseServerAddress(flags.server, flags.tls === true || flags.ca !== undefined);
  const trusted = flags.ca === undefined ? {} : { ca: await readCa(flags.ca) };
  return {
    channel: new GrpcChannel({ address, ...trusted }),
    serverName: formatServerAddress(address),
    baseUrl: baseUrlOf(address),
  };
}

const server = new Option("--server <address>", "host:port, http://… or https://…")
  .default(defaultServer)
  .helpGroup("Service:");
const tls = new Option("--tls", "speak TLS, as https:// does").helpGroup("Service:");
const ca = new Option("--ca <file>", "certificates to trust, in PEM; implies --tls").helpGroup("Service:");

const ConnectionFlags = z.object({
  server: z.string(),
  tls: z.boolean().optional(),
  ca: z.string().optional(),
});

async function readCa(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    if (isSystemError(error)) throw new UsageError(`--ca: cannot read ${path}: ${error.message}`);
    throw error;
  }
}
