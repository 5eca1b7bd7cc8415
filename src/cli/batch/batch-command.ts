import { Command } from "commander";
import type { CliContext } from "../io.ts";
import { cancelBatchCommand } from "./cancel-batch-command.ts";
import { getBatchCommand } from "./get-batch-command.ts";
import { submitBatchCommand } from "./submit-batch-command.ts";
import { watchBatchCommand } from "./watch-batch-command.ts";

/** `comfyrpc batch`: jobs that belong together. Without a subcommand it submits. */
export function batchCommand(context: CliContext): Command {
  return new Command("batch")
    .summary("make several jobs at once, and look after them")
    .description(
      'Makes several jobs at once, and looks after them. `batch "…"` is short for `batch submit "…"`.',
    )
    .addCommand(submitBatchCommand(context), { isDefault: true })
    .addCommand(getBatchCommand(context))
    .addCommand(watchBatchCommand(context))
    .addCommand(cancelBatchCommand(context))
    .addHelpText("after", `\n${examples}`);
}

const examples = `Examples:
  $ comfyrpc batch "a red fox" "a blue bird" --seeds 1-4
  $ comfyrpc batch submit --help
`;
