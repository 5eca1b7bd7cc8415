import { Command, InvalidArgumentError, Option } from "commander";
import { z } from "zod";
import { ModelSchema } from "../../../gen/comfyrpc/v1/catalog_pb.js";
import { createCatalogClient } from "../catalog-client.ts";
import { addConnectionOptions, openConnection } from "../connection-options.ts";
import { callExitCodeHelp, ExitCode } from "../exit-code.ts";
import { finishCommand } from "../finish-command.ts";
import type { CliContext } from "../io.ts";
import { repeatable } from "../option-groups.ts";
import { reportFailures } from "../report-failures.ts";
import { backendOption } from "./backend-option.ts";
import { type KindName, kindNames, kindOfName, nameOfKind } from "./model-kinds.ts";
import { allPages, writeList } from "./write-list.ts";

/** `comfyrpc models`: lists the models that backends have. */
export function modelsCommand(context: CliContext): Command {
  const command = new Command("models")
    .summary("list the models there are")
    .description("Lists the models that the backends have, and which of them have each.")
    .argument("[text]", "only models whose name contains this, in upper or lower case", "")
    .addOption(
      new Option("--kind <kind>", `${kindNames.join(", ")}; may be given again`).argParser(
        repeatable(parseKind),
      ),
    )
    .addOption(backendOption())
    .option("--json", "write each model as a line of JSON")
    .action((text: string) => finishCommand(context, () => listModels(text, command, context)));
  return addConnectionOptions(command).addHelpText("after", `\n${examples}\n${callExitCodeHelp}`);
}

async function listModels(nameContains: string, command: Command, context: CliContext): Promise<ExitCode> {
  const { kind, backend, json } = ModelFlags.parse(command.opts());
  const { channel, serverName } = await openConnection(command);
  using _ = channel;
  const client = createCatalogClient(channel);
  return await reportFailures(context, { serverName, json }, async (contact) => {
    const filter = { kinds: kind.map(kindOfName), nameContains, backend, pageSize: 1_000 };
    const all = await allPages(async (pageToken) => {
      const { models, nextPageToken } = await client.listModels({ ...filter, pageToken }, context.signal);
      contact.hasAnswered = true;
      return { items: models, nextPageToken };
    });
    writeList(context, all, json, {
      schema: ModelSchema,
      header: ["KIND", "NAME", "BACKENDS"],
      rowOf: (model) => [nameOfKind(model.kind), model.name, model.backends.join(", ")],
      none: "no such models",
    });
    return ExitCode.ok;
  });
}

const ModelFlags = z.object({
  kind: z.array(z.enum(kindNames)).default([]),
  backend: z.string().default(""),
  json: z.boolean().default(false),
});

function parseKind(text: string): KindName {
  const name = kindNames.find((candidate) => candidate === text.toLowerCase());
  if (!name) throw new InvalidArgumentError(`Allowed choices are ${kindNames.join(", ")}.`);
  return name;
}

const examples = `Examples:
  $ comfyrpc models
  $ comfyrpc models --kind lora --kind checkpoint xl
  $ comfyrpc models --kind vae --json | jq -r .name
`;
