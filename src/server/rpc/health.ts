import { create } from "@bufbuild/protobuf";
import { type HealthResponse, HealthResponseSchema } from "../../../gen/comfyrpc/v1/image_service_pb.js";
import { type HealthFacts, toHealthMessage } from "../convert/health.ts";

/** `ImageService.Health`. */
export function health(facts: () => HealthFacts) {
  return (): HealthResponse => create(HealthResponseSchema, { health: toHealthMessage(facts()) });
}
