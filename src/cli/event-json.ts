import { type DescMessage, type MessageShape, toJson } from "@bufbuild/protobuf";

/**
 * `message` as one line of JSON in the mapping of protobuf, fields at their default included, without `data`: the bytes
 * of images and previews are saved as files.
 */
export function jsonLine<T extends DescMessage>(schema: T, message: MessageShape<T>): string {
  return `${JSON.stringify(toJsonValue(schema, message))}\n`;
}

/** As {@link jsonLine}, to be put into something larger. */
export function toJsonValue<T extends DescMessage>(schema: T, message: MessageShape<T>): unknown {
  const json = toJson(schema, message, { alwaysEmitImplicit: true });
  return JSON.parse(JSON.stringify(json, (key, value) => (key === "data" ? undefined : value)));
}
