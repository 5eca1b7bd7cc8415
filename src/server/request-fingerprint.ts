import { createHash } from "node:crypto";
import { type DescMethod, type JsonValue, type Message, toJson } from "@bufbuild/protobuf";
import { canonicalJson, type JsonLike } from "../lib/canonical-json.ts";

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
    .update(`${method.parent.typeName}/${method.name}\n${canonicalJson(shortened(said))}`)
    .digest("hex");
}

/** Longest text that is kept whole, in UTF-16 code units: longer than any before images could be inside a request. */
const maxTextLength = 65_536;

/** The same with hashes in place of long texts, so that megabytes are not copied about. */
function shortened(value: JsonValue): JsonLike {
  if (typeof value === "string") {
    return value.length > maxTextLength
      ? { sha256: createHash("sha256").update(value).digest("hex") }
      : value;
  }
  if (value === null || typeof value !== "object") {
    return value;
  }
  return Array.isArray(value)
    ? value.map(shortened)
    : Object.fromEntries(Object.entries(value).map(([key, member]) => [key, shortened(member)]));
}
