import { Command, Option } from "commander";
import { z } from "zod";
import type { TemplateParameter } from "../../../gen/comfyrpc/v1/template_pb.js";
import { callService } from "../call-service.ts";
import { addConnectionOptions } from "../connection-options.ts";
import { ExitCode, exitCodeHelp } from "../exit-code.ts";
import { finishCommand } from "../finish-command.ts";
import { addCallOptions, readCall } from "../generation-options.ts";
import { imageArgumentHelp } from "../image-argument.ts";
import type { CliContext } from "../io.ts";
import { detachOption, jobOptions } from "../job-options.ts";
import { parseLabel } from "../label-value.ts";
import { addOptionGroup, repeatable } from "../option-groups.ts";
import { toParameters } from "./parameter-values.ts";
import { callTemplates } from "./template-call.ts";
import { parseReference, referenceHelp, type TemplateReference } from "./template-reference.ts";

/** `comfyrpc templates run`: has a running service draw by a template, and saves what comes of it. */
export function runTemplateCommand(context: CliContext): Command {
  const command = new Command("run")
    .summary("draw by a template and save the images")
    .description(
      "Draws by a template, shows how it goes, saves the images, and prints the names of the files.",
    )
    .argument("<template>", referenceHelp, parseReference)
    .action((reference: TemplateReference) => finishCommand(context, () => run(reference, command, context)));
  addOptionGroup(command, "Parameters:", [
    new Option("-p, --param <name=value>", "value of a parameter; may be given again").argParser(
      repeatable(parseLabel),
    ),
    new Option("--image <name=image>", `an image: ${imageArgumentHelp}; may be given again`).argParser(
      repeatable(parseLabel),
    ),
  ]);
  addCallOptions(command);
  addOptionGroup(command, "Job:", [...jobOptions(), detachOption()]);
  addConnectionOptions(command);
  return command.addHelpText("after", `\n${examples}\n${exitCodeHelp}`);
}

async function run(reference: TemplateReference, command: Command, context: CliContext): Promise<ExitCode> {
  const flags = ParameterFlags.parse(command.opts());
  let parameters: readonly TemplateParameter[] = [];
  // The types say how to read values: 7 is text for one parameter, and a number for another.
  const asked = await callTemplates(command, context, async (client) => {
    const { template } = await client.get(reference, context.signal);
    parameters = template?.parameters ?? [];
  });
  if (asked !== ExitCode.ok) return asked;
  const template = { ...reference, parameters: await toParameters(flags, parameters) };
  return await callService(readCall({ template }, command), command, context);
}

const NamedValues = z.array(z.tuple([z.string(), z.string()])).default([]);
const ParameterFlags = z.object({ param: NamedValues, image: NamedValues });

const examples = `Examples:
  $ comfyrpc templates run text-to-image --param prompt="a red fox" --param seed=42
  $ comfyrpc templates run inpaint --image image=photo.png --image mask=mask.png --param prompt="a door"
  $ comfyrpc templates run poster@production --param title=Spring --out poster.png
`;
