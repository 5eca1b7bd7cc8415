import { Command } from "commander";
import type { CliContext } from "../io.ts";
import { aliasTemplateCommand } from "./alias-template-command.ts";
import { deleteTemplateCommand } from "./delete-template-command.ts";
import { getTemplateCommand } from "./get-template-command.ts";
import { listTemplatesCommand } from "./list-templates-command.ts";
import { proposeParametersCommand } from "./propose-parameters-command.ts";
import { registerTemplateCommand } from "./register-template-command.ts";
import { runTemplateCommand } from "./run-template-command.ts";
import { templateSchemaCommand } from "./template-schema-command.ts";

/** `comfyrpc templates`: workflows with named parameters. */
export function templatesCommand(context: CliContext): Command {
  return new Command("templates")
    .summary("run and look after workflows with named parameters")
    .description("Registers workflows under a name, with parameters, and draws by them.")
    .addCommand(listTemplatesCommand(context))
    .addCommand(getTemplateCommand(context))
    .addCommand(runTemplateCommand(context))
    .addCommand(registerTemplateCommand(context))
    .addCommand(proposeParametersCommand(context))
    .addCommand(aliasTemplateCommand(context))
    .addCommand(deleteTemplateCommand(context))
    .addCommand(templateSchemaCommand(context));
}
