import { InvalidArgumentError } from "commander";

/**
 * Reads `name=value`; the value may hold more of `=`, or be empty.
 *
 * @throws InvalidArgumentError without a name or a `=`. What a name may consist of is the service's to check.
 */
export function parseLabel(text: string): [name: string, value: string] {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("Write it as name=value.");
  return [text.slice(0, at), text.slice(at + 1)];
}
