import { toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { Command } from "commander";
import { z } from "zod";
import {
  type Template,
  type TemplateParameter,
  TemplateSchema,
} from "../../../gen/comfyrpc/v1/template_pb.js";
import { addConnectionOptions } from "../connection-options.ts";
import { jsonLine } from "../event-json.ts";
import { callExitCodeHelp } from "../exit-code.ts";
import { finishCommand } from "../finish-command.ts";
import type { CliContext } from "../io.ts";
import { plainText } from "../plain-text.ts";
import { shorten } from "../shorten.ts";
import { tableLines } from "../table.ts";
import { callTemplates } from "./template-call.ts";
import { parseReference, referenceHelp, type TemplateReference } from "./template-reference.ts";
import { nameOfType } from "./type-names.ts";

/** `comfyrpc templates get`: shows a template with its parameters, or its workflow. */
export function getTemplateCommand(context: CliContext): Command {
  const command = new Command("get")
    .summary("show a template and its parameters")
    .description("Shows a template with its parameters, or prints its workflow.")
    .argument("<template>", referenceHelp, parseReference)
    .option("--workflow", "print its workflow, in API format")
    .option("--json", "write all of it as a line of JSON")
    .action((reference: TemplateReference) =>
      finishCommand(context, () => {
        const { workflow, json } = Flags.parse(command.opts());
        return callTemplates(command, context, async (client) => {
          const { template } = await client.get(reference, context.signal);
          if (template === undefined) return;
          if (json) context.stdout.write(jsonLine(TemplateSchema, template));
          else if (workflow) context.stdout.write(`${template.workflowJson}\n`);
          else for (const line of linesOf(template)) context.stdout.write(`${line}\n`);
        });
      }),
    );
  return addConnectionOptions(command).addHelpText("after", `\n${callExitCodeHelp}`);
}

const Flags = z.object({ workflow: z.boolean().default(false), json: z.boolean().default(false) });

function linesOf({ name, version, aliases, description, parameters }: Template): string[] {
  const also = aliases.length > 0 ? ` (${aliases.join(", ")})` : "";
  return [
    plainText(`${name}@${version}${also}`),
    ...(description === "" ? [] : [plainText(description)]),
    ...(parameters.length === 0
      ? []
      : [
          "",
          ...tableLines([["PARAMETER", "TYPE", "IF LEFT OUT", "WHAT IT DOES"], ...parameters.map(rowOf)]),
        ]),
  ];
}

function rowOf(parameter: TemplateParameter): string[] {
  const { name, type, title, description } = parameter;
  const text = [title, description].filter((part) => part !== "").join(": ");
  return [plainText(name), nameOfType(type), leftOut(parameter), shorten(plainText(text), 80)];
}

function leftOut({ required, defaultsToFirst, defaultValue, type }: TemplateParameter): string {
  if (required) return "refused";
  if (defaultsToFirst) return "the first there is";
  if (defaultValue === undefined) return nameOfType(type) === "seed" ? "random" : "as in the workflow";
  return shorten(plainText(JSON.stringify(toJson(ValueSchema, defaultValue))), 40);
}
