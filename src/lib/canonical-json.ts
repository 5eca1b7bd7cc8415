/** What JSON can say, with integers of any size as `bigint`. */
export type JsonLike =
  | string
  | number
  | bigint
  | boolean
  | null
  | readonly JsonLike[]
  | { readonly [key: string]: JsonLike };

/** JSON without white space and with sorted keys, so that equal values give equal texts. */
export function canonicalJson(value: JsonLike): string {
  if (typeof value === "bigint") {
    return value.toString();
  }
  if (value === null || typeof value !== "object") {
    return JSON.stringify(value);
  }
  if (isList(value)) {
    return `[${value.map(canonicalJson).join(",")}]`;
  }
  const members = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key] ?? null)}`);
  return `{${members.join(",")}}`;
}

/** `Array.isArray` does not narrow read-only arrays. */
function isList(value: JsonLike): value is readonly JsonLike[] {
  return Array.isArray(value);
}
