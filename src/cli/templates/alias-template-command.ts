import { Command } from "commander";
import { z } from "zod";
import { addConnectionOptions } from "../connection-options.ts";
import { callExitCodeHelp } from "../exit-code.ts";
import { finishCommand } from "../finish-command.ts";
import type { CliContext } from "../io.ts";
import { UsageError } from "../usage-error.ts";
import { callTemplates } from "./template-call.ts";
import { parseReference, type TemplateReference } from "./template-reference.ts";

/** `comfyrpc templates alias`: lets an alias point to a version, or removes it. */
export function aliasTemplateCommand(context: CliContext): Command {
  const command = new Command("alias")
    .summary("let an alias point to a version")
    .description("Lets an alias point to a version, wherever it pointed before; or removes the alias.")
    .argument("<template>", "the version, such as poster@3; with --delete only the name", parseReference)
    .argument("<alias>", "the alias, such as production")
    .option("--delete", "remove the alias")
    .action(({ name, revision }: TemplateReference, alias: string) =>
      finishCommand(context, async () => {
        const isRemoval = z.object({ delete: z.boolean().default(false) }).parse(command.opts()).delete;
        if (!isRemoval && revision.case !== "version") {
          throw new UsageError("say which version the alias is to point to, such as poster@3");
        }
        return await callTemplates(command, context, async (client) => {
          if (revision.case === "version" && !isRemoval) {
            await client.setAlias({ name, alias, version: revision.value }, context.signal);
          } else {
            await client.deleteAlias({ name, alias }, context.signal);
          }
        });
      }),
    );
  return addConnectionOptions(command).addHelpText("after", `\n${callExitCodeHelp}`);
}
