import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { startService } from "../app.ts";
import { ExitCode } from "../cli/exit-code.ts";
import { finishCommand } from "../cli/finish-command.ts";
import { addGenerationOptions, readGeneration } from "../cli/generation-options.ts";
import { GrpcChannel } from "../cli/grpc-channel.ts";
import { createImageClient } from "../cli/image-client.ts";
import type { CliContext } from "../cli/io.ts";
import { runGenerate } from "../cli/run-generate.ts";
import { parseServerAddress } from "../cli/server-address.ts";
import { createLogger } from "../telemetry/logger.ts";
import { type Environment, loadConfig } from "./load-config.ts";
import { reportStartErrors, starting } from "./start-error.ts";

/** How long the demo waits for its backend, in milliseconds. */
const readyTimeoutMs = 15_000;

/** `comfyrpc demo`: starts the service for as long as it takes to draw one request over gRPC. */
export function demoCommand(context: CliContext, env: Environment): Command {
  const command = new Command("demo")
    .summary("start the service, draw one picture, stop")
    .description(
      "Starts the service on a free port, draws over gRPC as a caller would, saves the images, and stops.",
    )
    .argument("<prompt>", "what the picture should show")
    .action((prompt: string) =>
      finishCommand(context, () => reportStartErrors(context, () => demo(prompt, command, context, env))),
    );
  return addGenerationOptions(command);
}

async function demo(
  prompt: string,
  command: Command,
  context: CliContext,
  env: Environment,
): Promise<ExitCode> {
  const { spec, options } = await readGeneration(prompt, command);
  await using data = await mkdtempDisposable(join(tmpdir(), "comfyrpc-demo-"));
  const config = loadConfig(
    {
      COMFYRPC_LOG_LEVEL: "error",
      ...env,
      COMFYRPC_HOST: "127.0.0.1",
      COMFYRPC_PORT: "0",
      COMFYRPC_DATA_DIR: data.path,
    },
    context.stderr,
  );
  if (config === undefined) {
    return ExitCode.usage;
  }
  await using service = await starting(startService(config, createLogger({ level: config.logLevel })));
  if (!options.quiet && !options.json) {
    context.stderr.write(`${service.startedBuiltInEngine ? builtInEngineNotice : "Drawing with ComfyUI."}\n`);
  }
  try {
    await service.ready(AbortSignal.any([context.signal, AbortSignal.timeout(readyTimeoutMs)]));
  } catch (error) {
    if (context.signal.aborted) {
      return ExitCode.cancelled;
    }
    context.stderr.write(`error: the backend does not answer; is COMFYUI_URL right? (${String(error)})\n`);
    return ExitCode.unavailable;
  }
  using channel = new GrpcChannel({ address: parseServerAddress(service.url, false) });
  return await runGenerate(
    createImageClient(channel),
    spec,
    { ...options, serverName: service.url },
    context,
    context.signal,
  );
}

const builtInEngineNotice = "No ComfyUI found: drawing with the built-in engine, not a diffusion model.";
