import type { Answer } from "../src/engine/comfyui/client.ts";
import { asArray, asObject, asString } from "../src/engine/comfyui/json-shape.ts";

/** What ComfyUI has against a graph. */
export interface ValidationError {
  readonly type: string;
  readonly classType: string;
  readonly inputName: string;
  readonly details: string;
  readonly received: unknown;
}

/** Reads what ComfyUI answered to a prompt. Errors are also in answers that take a part of it. */
export function validationErrorsOf({ status, body }: Answer): readonly ValidationError[] {
  const { error, node_errors: nodeErrors } = asObject(body);
  const ofNodes = Object.values(asObject(nodeErrors)).flatMap((entry) => {
    const { class_type: classType, errors } = asObject(entry);
    return asArray(errors).map((item) => readError(item, asString(classType) ?? ""));
  });
  if (ofNodes.length > 0 || status === 200) {
    return ofNodes;
  }
  return [readError(error, "")];
}

/** Whether it is only that the server has no file of some name, such as a model or a picture. */
export function isMissingFile({ type, details, received }: ValidationError): boolean {
  switch (type) {
    case "value_not_in_list":
      return (
        details.endsWith("not in []") || (typeof received === "string" && /\.[a-z]\w{1,11}$/i.test(received))
      );
    case "custom_validation_failed":
      return /invalid \w+ file/i.test(details);
    default:
      return false;
  }
}

function readError(value: unknown, classType: string): ValidationError {
  const { type, details, extra_info: extraInfo } = asObject(value);
  const { input_name: inputName, received_value: received } = asObject(extraInfo);
  return {
    type: asString(type) ?? "unclear",
    classType,
    inputName: asString(inputName) ?? "",
    details: asString(details) ?? "",
    received,
  };
}
