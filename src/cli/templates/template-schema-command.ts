import { Command } from "commander";
import { addConnectionOptions } from "../connection-options.ts";
import { callExitCodeHelp } from "../exit-code.ts";
import { finishCommand } from "../finish-command.ts";
import type { CliContext } from "../io.ts";
import { callTemplates } from "./template-call.ts";
import { parseReference, referenceHelp, type TemplateReference } from "./template-reference.ts";

/** `comfyrpc templates schema`: prints the JSON Schema of the parameters. */
export function templateSchemaCommand(context: CliContext): Command {
  const command = new Command("schema")
    .summary("print the JSON Schema of the parameters")
    .description("Prints the JSON Schema (draft 2020-12) of the parameters of a template.")
    .argument("<template>", referenceHelp, parseReference)
    .action((reference: TemplateReference) =>
      finishCommand(context, () =>
        callTemplates(command, context, async (client) => {
          const { jsonSchema } = await client.schema(reference, context.signal);
          context.stdout.write(`${jsonSchema}\n`);
        }),
      ),
    );
  return addConnectionOptions(command).addHelpText("after", `\n${callExitCodeHelp}`);
}
