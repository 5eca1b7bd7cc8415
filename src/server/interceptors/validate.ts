import type { DescMessage, Message } from "@bufbuild/protobuf";
import { createValidator, type Violation } from "@bufbuild/protovalidate";
import type { Interceptor } from "@connectrpc/connect";
import { type FieldViolation, ServiceError } from "../../domain/errors.ts";

/**
 * Checks every request against the `buf.validate` rules of the schema.
 *
 * @throws ServiceError `INVALID_FIELD` with every violation
 */
export function validateRequests(): Interceptor {
  const validator = createValidator();
  const check = (schema: DescMessage, message: Message): void => {
    const result = validator.validate(schema, message);
    if (result.kind === "error") {
      throw result.error;
    }
    if (result.kind === "invalid") {
      throw invalidFields(result.violations.map(toFieldViolation));
    }
  };
  return (next) => async (request) => {
    const { input } = request.method;
    if (request.stream) {
      return await next({
        ...request,
        message: checked(request.message, (message) => check(input, message)),
      });
    }
    check(input, request.message);
    return await next(request);
  };
}

async function* checked<T>(messages: AsyncIterable<T>, check: (message: T) => void): AsyncGenerator<T> {
  for await (const message of messages) {
    check(message);
    yield message;
  }
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

function invalidFields(violations: readonly FieldViolation[]): ServiceError {
  const [first] = violations;
  const more = violations.length > 1 ? ` (and ${violations.length - 1} more)` : "";
  return new ServiceError("INVALID_FIELD", `${first?.field}: ${first?.description}${more}`, { violations });
}
