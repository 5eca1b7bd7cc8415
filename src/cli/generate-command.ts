import { Command } from "commander";
import { callService } from "./call-service.ts";
import { addConnectionOptions } from "./connection-options.ts";
import { type ExitCode, exitCodeHelp } from "./exit-code.ts";
import { finishCommand } from "./finish-command.ts";
import { addGenerationOptions, readGeneration } from "./generation-options.ts";
import type { CliContext } from "./io.ts";
import { detachOption, jobOptions } from "./job-options.ts";
import { addOptionGroup } from "./option-groups.ts";

/** `comfyrpc generate`: has a running service draw images, and saves them. */
export function generateCommand(context: CliContext): Command {
  const command = new Command("generate")
    .summary("draw images and save them")
    .description("Draws images, shows how it goes, saves them, and prints the names of the files.")
    .argument("<prompt>", "what the picture should show")
    .action((prompt: string) => finishCommand(context, () => generate(prompt, command, context)));
  addGenerationOptions(command);
  addOptionGroup(command, "Job:", [...jobOptions(), detachOption()]);
  addConnectionOptions(command);
  return command.addHelpText("after", `\n${examples}\n${exitCodeHelp}`);
}

async function generate(prompt: string, command: Command, context: CliContext): Promise<ExitCode> {
  return await callService(await readGeneration(prompt, command), command, context);
}

const examples = `Examples:
  $ comfyrpc generate "a red fox in the snow"
  $ comfyrpc generate "a red fox" --size 768x512 --seed 42 --out fox.png
  $ comfyrpc generate "a red fox" --lora film.safetensors:0.8 --count 4
  $ comfyrpc generate "a red fox" --format webp --quality 80 --preview
  $ comfyrpc generate "a red fox" --inpaint photo.png --mask mask.png
  $ comfyrpc generate "a red fox" --from sketch.png --denoise 0.6 --upscale 2
  $ comfyrpc generate "a red fox" --json | jq -r 'select(.files).files[]'
`;
