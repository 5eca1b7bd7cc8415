import { type DescMessage, getOption, hasOption, type Message } from "@bufbuild/protobuf";
import type { Path } from "@bufbuild/protobuf/reflect";
import { createValidator, type Violation } from "@bufbuild/protovalidate";
import { field as fieldRules } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import type { FieldViolation } from "../domain/errors.ts";

/** Checks messages against the `buf.validate` rules of the schema. */
export interface MessageRules {
  /** Everything that is wrong with `message`; empty if nothing is. */
  violations(schema: DescMessage, message: Message): FieldViolation[];
}

/** Reads the rules of each type of message when it first comes up, and remembers them. */
export function createMessageRules(): MessageRules {
  const validator = createValidator();
  return {
    violations(schema, message) {
      const result = validator.validate(schema, message);
      switch (result.kind) {
        case "valid":
          return [];
        case "invalid":
          return result.violations.map(toFieldViolation);
        case "error":
          throw result.error;
      }
    },
  };
}

function toFieldViolation(violation: Violation): FieldViolation {
  const last = violation.field.at(-1);
  if (last?.kind === "oneof") {
    // Callers know a oneof by its fields alone, unless nothing else is there to name.
    const inside = pathOf(violation.field.slice(0, -1));
    const names = last.fields.map(({ name }) => name).join(", ");
    return { field: inside || last.name, description: `give one of ${names}` };
  }
  const choices = choicesOf(violation);
  if (choices !== undefined) {
    return { field: pathOf(violation.field), description: `must be one of ${choices.join(", ")}` };
  }
  const path = pathOf(violation.field);
  // Rules about a message as a whole begin with the name of the field they are about.
  const [, name, text] = /^([a-z0-9_]+): (.*)$/s.exec(violation.message) ?? [];
  const field = name === undefined ? path : path === "" ? name : `${path}.${name}`;
  return { field, description: text ?? violation.message };
}

function pathOf(path: Path): string {
  return path.map(pathPart).join("").replace(/^\./, "");
}

/** What the field of a broken rule may be, if the rule lists that; the rules themselves say it in numbers. */
function choicesOf({ ruleId, field: path }: Violation): readonly string[] | undefined {
  const field = path.findLast((part) => part.kind === "field");
  if (field === undefined || !hasOption(field, fieldRules)) {
    return undefined;
  }
  const { type } = getOption(field, fieldRules);
  switch (ruleId) {
    case "enum.defined_only":
    case "enum.in":
    case "enum.not_in": {
      const allowed = type?.case === "enum" ? type.value.in : [];
      const given = (field.enum?.values ?? []).filter(({ number }) => number !== 0);
      return given
        .filter(({ number }) => allowed.length === 0 || allowed.includes(number))
        .map(({ name }) => name);
    }
    case "string.in":
      return type?.case === "string" ? type.value.in.filter((choice) => choice !== "") : undefined;
    default:
      return undefined;
  }
}

function pathPart(part: Violation["field"][number]): string {
  switch (part.kind) {
    case "field":
      return `.${part.name}`;
    case "oneof":
      return `.${part.name}`;
    case "list_sub":
      return `[${part.index}]`;
    case "map_sub":
      return `[${JSON.stringify(String(part.key))}]`;
    case "extension":
      return `[${part.typeName}]`;
  }
}
