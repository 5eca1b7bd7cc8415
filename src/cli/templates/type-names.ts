import { ParameterType } from "../../../gen/comfyrpc/v1/template_pb.js";

/** A type of parameter, in lower case as people write it. */
export function nameOfType(type: ParameterType): string {
  return (ParameterType[type] ?? "unknown").toLowerCase();
}
