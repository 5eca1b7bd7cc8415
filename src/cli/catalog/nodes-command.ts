import { status } from "@grpc/grpc-js";
import { Command } from "commander";
import { z } from "zod";
import { type NodeClass, NodeClassSchema } from "../../../gen/comfyrpc/v1/catalog_pb.js";
import { type CatalogClient, createCatalogClient } from "../catalog-client.ts";
import { addConnectionOptions, openConnection } from "../connection-options.ts";
import { jsonLine } from "../event-json.ts";
import { callExitCodeHelp, ExitCode } from "../exit-code.ts";
import { finishCommand } from "../finish-command.ts";
import type { CliContext } from "../io.ts";
import { reportFailures } from "../report-failures.ts";
import { RpcError } from "../rpc-error.ts";
import { backendOption } from "./backend-option.ts";
import { nodeDetails } from "./node-details.ts";
import { allPages, writeList } from "./write-list.ts";

/** `comfyrpc nodes`: lists node classes, or shows one with its inputs and outputs. */
export function nodesCommand(context: CliContext): Command {
  const command = new Command("nodes")
    .summary("list node classes, or show one")
    .description(
      "Shows the node class of exactly this name with its inputs and outputs; where there is none, lists those whose name contains the text, in upper or lower case. Lists all without a text.",
    )
    .argument("[name]", "name of a class, or part of it", "")
    .option("--category <category>", "list only classes of this category or below, such as image")
    .addOption(backendOption())
    .option("--json", "write each class as a line of JSON")
    .action((name: string) => finishCommand(context, () => showNodes(name, command, context)));
  return addConnectionOptions(command).addHelpText("after", `\n${examples}\n${callExitCodeHelp}`);
}

async function showNodes(name: string, command: Command, context: CliContext): Promise<ExitCode> {
  const { category, backend, json } = NodeFlags.parse(command.opts());
  const { channel, serverName } = await openConnection(command);
  using _ = channel;
  const client = createCatalogClient(channel);
  return await reportFailures(context, { serverName, json }, async (contact) => {
    const isList = name === "" || category !== "";
    const nodeClass = isList ? undefined : await findClass(client, { name, backend }, context.signal);
    contact.hasAnswered = true;
    if (nodeClass !== undefined) {
      writeClass(context, nodeClass, json);
      return ExitCode.ok;
    }
    const filter = { nameContains: name, category, backend, pageSize: 1_000 };
    const all = await allPages(async (pageToken) => {
      const answer = await client.listNodeClasses({ ...filter, pageToken }, context.signal);
      return { items: answer.nodeClasses, nextPageToken: answer.nextPageToken };
    });
    writeList(context, all, json, {
      schema: NodeClassSchema,
      header: ["NAME", "CATEGORY", "BACKENDS"],
      rowOf: (one) => [one.name, one.category, one.backends.join(", ")],
      none: "no such node classes",
    });
    return ExitCode.ok;
  });
}

async function findClass(
  client: CatalogClient,
  request: { readonly name: string; readonly backend: string },
  signal: AbortSignal,
): Promise<NodeClass | undefined> {
  try {
    return (await client.getNodeClass(request, signal)).nodeClass;
  } catch (error) {
    if (error instanceof RpcError && error.code === status.NOT_FOUND) return undefined;
    throw error;
  }
}

function writeClass(context: CliContext, nodeClass: NodeClass, json: boolean): void {
  if (json) context.stdout.write(jsonLine(NodeClassSchema, nodeClass));
  else for (const line of nodeDetails(nodeClass)) context.stdout.write(`${line}\n`);
}

const NodeFlags = z.object({
  category: z.string().default(""),
  backend: z.string().default(""),
  json: z.boolean().default(false),
});

const examples = `Examples:
  $ comfyrpc nodes upscale
  $ comfyrpc nodes KSampler
  $ comfyrpc nodes --category image --json | jq -r .name
`;
