import type { Command, Option } from "commander";

/** Adds `options` to `command`, listed under `heading` in its help. */
export function addOptionGroup(command: Command, heading: string, options: readonly Option[]): void {
  for (const option of options) command.addOption(option.helpGroup(heading));
}

/** Reads an option that may be given again: collects what `parse` makes of each. */
export function repeatable<T>(parse: (text: string) => T): (text: string, before: T[] | undefined) => T[] {
  return (text, before) => [...(before ?? []), parse(text)];
}

/** As {@link repeatable}, for an option of which each one brings several values. */
export function repeatableList<T>(
  parse: (text: string) => readonly T[],
): (text: string, before: T[] | undefined) => T[] {
  return (text, before) => [...(before ?? []), ...parse(text)];
}
