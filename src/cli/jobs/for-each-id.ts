import { ExitCode } from "../exit-code.ts";
import { isExplained } from "../explained-error.ts";
import type { CliContext } from "../io.ts";
import { plainText } from "../plain-text.ts";
import { type FailureOptions, reportFailure } from "../report-failures.ts";
import { RpcError } from "../rpc-error.ts";
import { writeLines } from "../write-lines.ts";

/**
 * Runs `act` for each of `ids`, one after the other. If the service refuses one, that is reported, and the others still
 * have their turn; any other failure ends it.
 *
 * @returns the exit code of the first failure, 0 if there was none
 */
export async function forEachId(
  ids: readonly string[],
  options: FailureOptions,
  context: CliContext,
  act: (id: string) => Promise<void>,
): Promise<ExitCode> {
  const contact = { hasAnswered: false };
  let first: ExitCode = ExitCode.ok;
  for (const id of ids) {
    try {
      await act(id);
      contact.hasAnswered = true;
    } catch (error) {
      if (!isExplained(error)) throw error;
      const isRefused = error instanceof RpcError && error.details.reason !== undefined;
      if (isRefused && ids.length > 1) writeLines(context, [`${plainText(id)}:`]);
      const code = reportFailure(context, error, options, contact);
      if (first === ExitCode.ok) first = code;
      if (!isRefused) break;
    }
  }
  return first;
}
