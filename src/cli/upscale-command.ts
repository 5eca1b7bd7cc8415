import { Command } from "commander";
import { callService } from "./call-service.ts";
import { addConnectionOptions } from "./connection-options.ts";
import { type ExitCode, exitCodeHelp } from "./exit-code.ts";
import { finishCommand } from "./finish-command.ts";
import { addCallOptions, readCall } from "./generation-options.ts";
import { imageArgumentHelp, readImageArgument } from "./image-argument.ts";
import type { CliContext } from "./io.ts";
import { detachOption, jobOptions } from "./job-options.ts";
import { addOptionGroup } from "./option-groups.ts";
import { resizeOption, toUpscale, UpscaleFlags, upscaleOptions, wantsUpscale } from "./upscale-options.ts";
import { UsageError } from "./usage-error.ts";

/** `comfyrpc upscale`: has a running service enlarge an image, and saves it. */
export function upscaleCommand(context: CliContext): Command {
  const command = new Command("upscale")
    .summary("enlarge an image and save it")
    .description("Enlarges an image without drawing it anew: by a model, by a factor, to a size, or by both.")
    .argument("<image>", imageArgumentHelp)
    .action((image: string) => finishCommand(context, () => upscale(image, command, context)));
  addOptionGroup(command, "Size:", [...upscaleOptions(), resizeOption()]);
  addCallOptions(command);
  addOptionGroup(command, "Job:", [...jobOptions(), detachOption()]);
  addConnectionOptions(command);
  return command.addHelpText("after", `\n${examples}\n${exitCodeHelp}`);
}

async function upscale(path: string, command: Command, context: CliContext): Promise<ExitCode> {
  const flags = UpscaleFlags.parse(command.opts());
  if (!wantsUpscale(flags)) throw new UsageError("give --upscale, --upscale-to or --upscale-model");
  const image = await readImageArgument(path);
  return await callService(readCall({ upscale: { ...toUpscale(flags), image } }, command), command, context);
}

const examples = `Examples:
  $ comfyrpc upscale photo.png --upscale 2
  $ comfyrpc upscale photo.png --upscale-model 4x.pth --upscale-to 2048x --out large.png
`;
