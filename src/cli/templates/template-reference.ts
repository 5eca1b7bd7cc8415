import { InvalidArgumentError } from "commander";

/** Which version of a template is meant, as requests name it. */
export interface TemplateReference {
  readonly name: string;
  readonly revision:
    | { readonly case: "version"; readonly value: number }
    | { readonly case: "alias"; readonly value: string }
    | { readonly case: undefined };
}

/** How arguments name a template, for their help. */
export const referenceHelp = "name of the template; poster@3 is a version, poster@production an alias";

/**
 * Reads `poster`, `poster@3` or `poster@production`.
 *
 * @throws InvalidArgumentError if it is none of them. What names may consist of is the service's to check.
 */
export function parseReference(text: string): TemplateReference {
  const [, name, ref] = /^([^@]+)(?:@(.+))?$/.exec(text) ?? [];
  if (name === undefined) {
    throw new InvalidArgumentError("Write it as name, name@3 or name@alias.");
  }
  if (ref === undefined) return { name, revision: { case: undefined } };
  const version = /^\d{1,9}$/.test(ref) ? Number(ref) : undefined;
  return {
    name,
    revision: version === undefined ? { case: "alias", value: ref } : { case: "version", value: version },
  };
}
