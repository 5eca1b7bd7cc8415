import type { DescMessage, Message } from "@bufbuild/protobuf";
import { createValidator, type Violation } from "@bufbuild/protovalidate";
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
  const path = violation.field.map(pathPart).join("").replace(/^\./, "");
  // Rules about a message as a whole begin with the name of the field they are about.
  const [, name, text] = /^([a-z0-9_]+): (.*)$/s.exec(violation.message) ?? [];
  const field = name === undefined ? path : path === "" ? name : `${path}.${name}`;
  return { field, description: text ?? violation.message };
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
