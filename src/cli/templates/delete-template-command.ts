import { Command } from "commander";
import { addConnectionOptions } from "../connection-options.ts";
import { callExitCodeHelp } from "../exit-code.ts";
import { finishCommand } from "../finish-command.ts";
import type { CliContext } from "../io.ts";
import { UsageError } from "../usage-error.ts";
import { callTemplates } from "./template-call.ts";
import { parseReference, type TemplateReference } from "./template-reference.ts";

/** `comfyrpc templates delete`: removes a version, or all of a template. */
export function deleteTemplateCommand(context: CliContext): Command {
  const command = new Command("delete")
    .summary("remove a version, or all of a template")
    .description("Removes a version that no alias points to; or, without a number, all versions and aliases.")
    .argument("<template>", "name of the template; poster@3 is a version", parseReference)
    .action(({ name, revision }: TemplateReference) =>
      finishCommand(context, async () => {
        if (revision.case === "alias") {
          throw new UsageError(
            "name the version by its number, such as poster@3; see `templates list poster`",
          );
        }
        const version = revision.case === "version" ? { version: revision.value } : {};
        return await callTemplates(command, context, async (client) => {
          await client.delete({ name, ...version }, context.signal);
        });
      }),
    );
  return addConnectionOptions(command).addHelpText("after", `\n${callExitCodeHelp}`);
}
