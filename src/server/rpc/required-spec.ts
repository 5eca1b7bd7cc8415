import type { GenerationSpec } from "../../../gen/comfyrpc/v1/generation_pb.js";
import { ServiceError } from "../../domain/errors.ts";

/** The spec of a request. The schema requires it, which the generated type cannot say. */
export function specOf(request: { readonly spec?: GenerationSpec | undefined }): GenerationSpec {
  if (request.spec === undefined) {
    const violations = [{ field: "spec", description: "value is required" }];
    throw new ServiceError("INVALID_FIELD", "spec: value is required", { violations });
  }
  return request.spec;
}
