import type { DescMessage, Message } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { invalidFields } from "../invalid-fields.ts";
import { createMessageRules } from "../message-rules.ts";

/**
 * Checks every request against the `buf.validate` rules of the schema.
 *
 * @throws ServiceError `INVALID_FIELD` with every violation
 */
export function validateRequests(): Interceptor {
  const rules = createMessageRules();
  const check = (schema: DescMessage, message: Message): void => {
    const violations = rules.violations(schema, message);
    if (violations.length > 0) {
      throw invalidFields(violations);
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
