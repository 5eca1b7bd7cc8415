import { type FieldViolation, ServiceError } from "../domain/errors.ts";

/** One field of a request that is wrong, named by its path in the spelling of the `.proto`. */
export function invalidField(field: string, description: string): ServiceError {
  return invalidFields([{ field, description }]);
}

/** Fields of a request that are wrong; the text names the first one, and how many more there are. */
export function invalidFields(violations: readonly FieldViolation[]): ServiceError {
  const [first] = violations;
  const more = violations.length > 1 ? ` (and ${violations.length - 1} more)` : "";
  return new ServiceError("INVALID_FIELD", `${first?.field}: ${first?.description}${more}`, { violations });
}
