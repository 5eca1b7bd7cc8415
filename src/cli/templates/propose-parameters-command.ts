import { toJson } from "@bufbuild/protobuf";
import { Command } from "commander";
import { TemplateParameterSchema } from "../../../gen/comfyrpc/v1/template_pb.js";
import { addConnectionOptions } from "../connection-options.ts";
import { callExitCodeHelp } from "../exit-code.ts";
import { finishCommand } from "../finish-command.ts";
import type { CliContext } from "../io.ts";
import { callTemplates, readInput } from "./template-call.ts";

/** `comfyrpc templates propose`: prints the parameters that a workflow could have. */
export function proposeParametersCommand(context: CliContext): Command {
  const command = new Command("propose")
    .summary("print the parameters that a workflow could have")
    .description(
      "Prints the parameters that people are likely to want in a workflow, as a JSON array that can be changed and given " +
        "to `templates register --parameters`.",
    )
    .argument("<workflow>", "file as ComfyUI exports or saves it; - reads standard input")
    .action((path: string) =>
      finishCommand(context, async () => {
        const workflowJson = await readInput(path, context);
        return await callTemplates(command, context, async (client) => {
          const { parameters } = await client.propose({ workflowJson }, context.signal);
          const shown = parameters.map((parameter) => toJson(TemplateParameterSchema, parameter));
          context.stdout.write(`${JSON.stringify(shown, undefined, 2)}\n`);
        });
      }),
    );
  return addConnectionOptions(command).addHelpText("after", `\n${callExitCodeHelp}`);
}
