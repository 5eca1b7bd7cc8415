import { Command } from "commander";
import type { CliContext } from "../io.ts";
import { getAssetCommand } from "./get-asset-command.ts";
import { linkAssetCommand } from "./link-asset-command.ts";
import { putAssetCommand } from "./put-asset-command.ts";

/** `comfyrpc assets`: images and other files by their id. */
export function assetsCommand(context: CliContext): Command {
  return new Command("assets")
    .summary("upload, download and link images by their id")
    .description("Uploads images, downloads those and the images of jobs, and makes links to them.")
    .addCommand(putAssetCommand(context))
    .addCommand(getAssetCommand(context))
    .addCommand(linkAssetCommand(context));
}
