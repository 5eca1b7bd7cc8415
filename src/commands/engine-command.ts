import { once } from "node:events";
import { Command, InvalidArgumentError, Option } from "commander";
import { ExitCode } from "../cli/exit-code.ts";
import { finishCommand } from "../cli/finish-command.ts";
import type { CliContext } from "../cli/io.ts";
import { parseWholeNumber } from "../cli/option-values.ts";
import { startDemoEngine } from "../engine/demo/demo-engine.ts";
import { createLogger } from "../telemetry/logger.ts";
import { reportStartErrors, starting } from "./start-error.ts";

/** `comfyrpc engine`: runs the built-in engine alone, for other programs that speak ComfyUI's protocol. */
export function engineCommand(context: CliContext): Command {
  const command = new Command("engine")
    .summary("run the built-in engine alone")
    .description(
      "Runs the built-in engine: a server that speaks ComfyUI's protocol and draws pictures by rule. It is not a\n" +
        "diffusion model; it is there to try and test programs that talk to ComfyUI.",
    )
    .addOption(new Option("--host <address>", "address to listen on").default("127.0.0.1"))
    .addOption(
      new Option("--port <number>", "port to listen on; 0 takes a free one")
        .default(8188)
        .argParser(wholeNumberUpTo(65_535)),
    )
    .addOption(
      new Option("--step-ms <ms>", "time for a sampling step")
        .default(120)
        .argParser(wholeNumberUpTo(60_000)),
    )
    .addOption(
      new Option("--log-level <level>", "lowest level to log; debug tells of every prompt")
        .default("info")
        .choices(["debug", "info", "warn", "error", "silent"]),
    )
    .action(() =>
      finishCommand(context, () => reportStartErrors(context, () => runEngine(command.opts(), context))),
    );
  return command;
}

interface EngineOptions {
  readonly host: string;
  readonly port: number;
  readonly stepMs: number;
  readonly logLevel: "debug" | "info" | "warn" | "error" | "silent";
}

async function runEngine({ logLevel, ...options }: EngineOptions, context: CliContext): Promise<ExitCode> {
  const logger = createLogger({ level: logLevel });
  await using engine = await starting(startDemoEngine({ ...options, logger }));
  context.stdout.write(`${engine.url}\n`);
  if (!context.signal.aborted) {
    await once(context.signal, "abort");
  }
  return ExitCode.ok;
}

function wholeNumberUpTo(max: number): (text: string) => number {
  return (text) => {
    const value = parseWholeNumber(text);
    if (value > max) {
      throw new InvalidArgumentError(`It takes a whole number from 0 to ${max}.`);
    }
    return value;
  };
}
