import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { Command } from "commander";
import { z } from "zod";
import {
  type TemplateParameter,
  TemplateParameterSchema,
  TemplateSchema,
} from "../../../gen/comfyrpc/v1/template_pb.js";
import { addConnectionOptions } from "../connection-options.ts";
import { jsonLine } from "../event-json.ts";
import { callExitCodeHelp } from "../exit-code.ts";
import { finishCommand } from "../finish-command.ts";
import type { CliContext } from "../io.ts";
import { UsageError } from "../usage-error.ts";
import { writeLines } from "../write-lines.ts";
import { callTemplates, readInput } from "./template-call.ts";

/** `comfyrpc templates register`: makes the next version of a template. */
export function registerTemplateCommand(context: CliContext): Command {
  const command = new Command("register")
    .summary("register a workflow as a template")
    .description(
      "Makes the next version of a template, unless there is one of equal content, and prints it as name@version.",
    )
    .argument("<name>", "name of the template")
    .argument("<workflow>", "file as ComfyUI exports or saves it; - reads standard input")
    .option("--description <text>", "what it is for", "")
    .option("--parameters <file>", "parameters as `templates propose` writes them (default: those)")
    .option("--alias <alias>", "let this alias point to the version")
    .option("--check", "only check it, and say what it would be")
    .option("--json", "write the template as a line of JSON")
    .action((name: string, path: string) =>
      finishCommand(context, async () => {
        const flags = Flags.parse(command.opts());
        const request = {
          ...{ name, description: flags.description, validateOnly: flags.check },
          workflowJson: await readInput(path, context),
          parameters:
            flags.parameters === undefined ? [] : parseParameters(await readInput(flags.parameters, context)),
        };
        return await callTemplates(command, context, async (client) => {
          const { template, created } = await client.register(request, context.signal);
          if (template === undefined) return;
          const { version } = template;
          if (flags.alias !== undefined && !flags.check) {
            await client.setAlias({ name, alias: flags.alias, version }, context.signal);
          }
          context.stdout.write(
            flags.json ? jsonLine(TemplateSchema, template) : `${name}${version > 0 ? `@${version}` : ""}\n`,
          );
          if (!flags.json) writeLines(context, [outcomeOf(created, version)]);
        });
      }),
    );
  return addConnectionOptions(command).addHelpText("after", `\n${examples}\n${callExitCodeHelp}`);
}

const Flags = z.object({
  description: z.string(),
  parameters: z.string().optional(),
  alias: z.string().optional(),
  check: z.boolean().default(false),
  json: z.boolean().default(false),
});

function outcomeOf(created: boolean, version: number): string {
  if (created) return "registered";
  return version > 0 ? "there is a version of equal content already" : "it can be registered";
}

/**
 * Reads a JSON array of parameters, in the mapping of protobuf.
 *
 * @throws UsageError if it is anything else
 */
function parseParameters(json: string): TemplateParameter[] {
  const array = z.array(z.json()).min(1).safeParse(parseJson(json));
  if (!array.success) throw new UsageError("--parameters: write a JSON array, as `templates propose` does");
  return array.data.map((value: JsonValue, index) => {
    try {
      return fromJson(TemplateParameterSchema, value);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new UsageError(`--parameters: parameter ${index + 1}: ${reason}`);
    }
  });
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new UsageError(`--parameters: no JSON: ${error instanceof Error ? error.message : error}`);
  }
}

const examples = `Examples:
  $ comfyrpc templates register poster workflow.json
  $ comfyrpc templates propose workflow.json > parameters.json   # then edit it
  $ comfyrpc templates register poster workflow.json --parameters parameters.json --alias production
`;
