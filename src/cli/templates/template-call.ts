import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import type { Command } from "commander";
import { openConnection } from "../connection-options.ts";
import { ExitCode } from "../exit-code.ts";
import type { CliContext } from "../io.ts";
import { reportFailures } from "../report-failures.ts";
import { isSystemError } from "../system-error.ts";
import { createTemplateClient, type TemplateClient } from "../template-client.ts";
import { UsageError } from "../usage-error.ts";

/** Runs what a command does with the templates of its service; failures that can be explained become its exit code. */
export async function callTemplates(
  command: Command,
  context: CliContext,
  call: (client: TemplateClient) => Promise<void>,
): Promise<ExitCode> {
  const { channel, serverName } = await openConnection(command);
  using _ = channel;
  return await reportFailures(context, { serverName, json: false }, async () => {
    await call(createTemplateClient(channel));
    return ExitCode.ok;
  });
}

/**
 * Reads the file of an argument; `-` is standard input.
 *
 * @throws UsageError if it cannot be read
 */
export async function readInput(path: string, { stdin }: CliContext): Promise<string> {
  try {
    return path === "-" ? await text(stdin) : await readFile(path, "utf8");
  } catch (error) {
    if (isSystemError(error)) throw new UsageError(`cannot read ${path}: ${error.message}`);
    throw error;
  }
}
