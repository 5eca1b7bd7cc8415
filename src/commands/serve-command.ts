import { Command, Option } from "commander";
import { startService } from "../app.ts";
import { ExitCode } from "../cli/exit-code.ts";
import { finishCommand } from "../cli/finish-command.ts";
import type { CliContext } from "../cli/io.ts";
import { createLogger } from "../telemetry/logger.ts";
import { type Environment, loadConfig } from "./load-config.ts";
import { reportStartErrors, starting } from "./start-error.ts";

/** `comfyrpc serve`: runs the service until it is told to stop, then drains it. */
export function serveCommand(context: CliContext, env: Environment): Command {
  const command = new Command("serve")
    .summary("run the service")
    .description(
      "Runs the service. Everything can be set by environment variables; see the README for all of them.",
    )
    .addOption(new Option("--host <address>", "address to listen on (COMFYRPC_HOST)"))
    .addOption(new Option("--port <number>", "port to listen on (COMFYRPC_PORT)"))
    .addOption(new Option("--insecure", "serve everybody who can reach the address (COMFYRPC_INSECURE)"))
    .addOption(new Option("--comfyui-url <url>", "address of ComfyUI (COMFYUI_URL)"))
    .addOption(new Option("--log-level <level>", "lowest level to log (COMFYRPC_LOG_LEVEL)"))
    .action(() => {
      const settings = { ...env, ...settingsOf(command.opts()) };
      return finishCommand(context, () => reportStartErrors(context, () => serve(context, settings)));
    });
  return command;
}

function settingsOf(flags: Readonly<Record<string, unknown>>): Environment {
  return {
    ...text("COMFYRPC_HOST", flags.host),
    ...text("COMFYRPC_PORT", flags.port),
    ...(flags.insecure === true && { COMFYRPC_INSECURE: "true" }),
    ...text("COMFYUI_URL", flags.comfyuiUrl),
    ...text("COMFYRPC_LOG_LEVEL", flags.logLevel),
  };
}

async function serve(context: CliContext, env: Environment): Promise<ExitCode> {
  const config = loadConfig(env, context.stderr);
  if (config === undefined) {
    return ExitCode.usage;
  }
  const logger = createLogger({ level: config.logLevel });
  await using service = await starting(startService(config, logger));
  await aborted(context.signal);
  logger.info({ graceSeconds: config.drainSeconds }, "draining");
  await service.drain(config.drainSeconds * 1_000, new AbortController().signal);
  logger.info("stopped");
  return ExitCode.ok;
}

function text(variable: string, value: unknown): Environment {
  return typeof value === "string" ? { [variable]: value } : {};
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
    }
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
