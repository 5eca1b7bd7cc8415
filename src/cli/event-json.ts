import {
  clone,
  createRegistry,
  type DescMessage,
  isMessage,
  type MessageShape,
  toJson,
} from "@bufbuild/protobuf";
import { WorkflowFailureSchema } from "../../gen/comfyrpc/v1/error_pb.js";
import { file_google_rpc_error_details } from "../../gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../../gen/google/rpc/status_pb.js";

/**
 * `message` as one line of JSON in the mapping of protobuf, fields at their default included, without `data`: the bytes
 * of images and previews are saved as files.
 */
export function jsonLine<T extends DescMessage>(schema: T, message: MessageShape<T>): string {
  return `${JSON.stringify(toJsonValue(schema, message))}\n`;
}

/** As {@link jsonLine}, to be put into something larger. */
export function toJsonValue<T extends DescMessage>(schema: T, message: MessageShape<T>): unknown {
  const shown = clone(schema, message);
  dropUnknownDetails(shown);
  const json = toJson(schema, shown, { alwaysEmitImplicit: true, registry });
  return JSON.parse(JSON.stringify(json, (key, value) => (key === "data" ? undefined : value)));
}

/** The types of details that this client knows. */
const registry = createRegistry(file_google_rpc_error_details, WorkflowFailureSchema);

/** Leaves out of every status in `value` what a newer service may add: a type that is not known has no JSON. */
function dropUnknownDetails(value: unknown): void {
  if (value === null || typeof value !== "object" || value instanceof Uint8Array) return;
  if (isMessage(value, StatusSchema)) {
    value.details = value.details.filter(({ typeUrl }) => registry.getMessage(nameOfTypeUrl(typeUrl)));
  }
  for (const part of Object.values(value)) dropUnknownDetails(part);
}

function nameOfTypeUrl(typeUrl: string): string {
  return typeUrl.slice(typeUrl.lastIndexOf("/") + 1);
}
