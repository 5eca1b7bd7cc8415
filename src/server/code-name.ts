import { Code } from "@connectrpc/connect";

/** The name of a status as the Connect protocol writes it, such as `not_found`. */
export function codeName(code: Code): string {
  return Code[code].replace(/(?<=.)[A-Z]/g, "_$&").toLowerCase();
}
