import type { CliIo } from "./io.ts";
import { plainText } from "./plain-text.ts";
import type { RpcError } from "./rpc-error.ts";
import { writeLines } from "./write-lines.ts";

/** Tells people, in a line of standard error each time, that the connection was lost and is tried again. */
export function lostNotice(io: CliIo): (error: RpcError) => void {
  return ({ message }) => writeLines(io, [`connection lost, trying again (${plainText(message)})`]);
}
