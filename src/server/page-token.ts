import { createHash } from "node:crypto";
import { canonicalJson, type JsonLike } from "../lib/canonical-json.ts";
import { invalidField } from "./invalid-fields.ts";

/**
 * Writes where the next page begins as a text that only {@link parsePageToken} reads, and only for a request that asks
 * for the same. It is no secret: whose things are listed is not up to it.
 *
 * Form: a byte for the version, the position, and a hash of these and of what is asked for; in base64url.
 *
 * @param position where the page begins, in a form of the method's own
 * @param asked what the pages belong to: the filter, and whatever else tells lists apart
 */
export function createPageToken(position: Uint8Array, asked: JsonLike): string {
  const start = Buffer.concat([Buffer.of(version), position]);
  return Buffer.concat([start, seal(start, asked)]).toString("base64url");
}

/**
 * Reads the position in a token again. Anybody can make up a token that passes, and gains nothing by it: the position may
 * be any.
 *
 * @throws ServiceError `INVALID_FIELD` if the token was not made by {@link createPageToken} for this
 */
export function parsePageToken(token: string, asked: JsonLike): Buffer {
  const bytes = Buffer.from(token, "base64url");
  const start = bytes.subarray(0, Math.max(0, bytes.length - sealBytes));
  const isOurs =
    bytes.toString("base64url") === token && // decoding skips what is not base64url
    start[0] === version &&
    bytes.subarray(start.length).equals(seal(start, asked));
  if (!isOurs) {
    throw foreignPageToken();
  }
  return start.subarray(1);
}

/** The error for a token that was not given out for what is asked now. */
export function foreignPageToken(): Error {
  return invalidField("page_token", "must be the next_page_token of an answer to the same filter");
}

const version = 1;
const sealBytes = 16;

function seal(start: Buffer, asked: JsonLike): Buffer {
  return createHash("sha256").update(start).update(canonicalJson(asked)).digest().subarray(0, sealBytes);
}
