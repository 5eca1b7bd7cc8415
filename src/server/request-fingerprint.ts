import { createHash } from "node:crypto";
import { type DescMethod, type Message, toJson } from "@bufbuild/protobuf";
import { canonicalJson } from "../lib/canonical-json.ts";

/**
 * Tells one request from another: equal for requests of one method that say the same, but for their `request_id`,
 * whatever the protocol they came by, and different for all others. What a message says is what its JSON form says, so
 * that a field at its default counts as left out, unless the schema can tell the two apart. A new field of the schema
 * changes nothing for requests without it, so that a repeat is known as one after an update of the service too.
 *
 * @returns SHA-256 in lowercase hexadecimal
 */
export function fingerprintOf(method: DescMethod, request: Message): string {
  const json = toJson(method.input, request);
  if (json === null || typeof json !== "object" || Array.isArray(json)) {
    throw new TypeError(`${method.input.typeName} is not written as an object`);
  }
  const { requestId: _, ...said } = json;
  return createHash("sha256")
    .update(`${method.parent.typeName}/${method.name}\n${canonicalJson(said)}`)
    .digest("hex");
}
