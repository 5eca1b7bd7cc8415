import { pageAfter } from "../catalog/page.ts";
import type { JsonLike } from "../lib/canonical-json.ts";
import { createPageToken, parsePageToken } from "./page-token.ts";

/** How a caller asks for part of a list. */
export interface PageRequest {
  /** 0: as many as is usual. */
  readonly pageSize: number;
  readonly pageToken: string;
}

/** A page as a response has it. */
export interface MessagePage<Message> {
  readonly messages: readonly Message[];
  readonly nextPageToken: string;
}

/** How entries of a list become messages of a page. */
export interface PageForm<Entry, Message> {
  /** By which entries are ordered, and told apart. */
  readonly keyOf: (entry: Entry) => string;
  readonly toMessage: (entry: Entry) => Message;
  /** Size of a message, in bytes. A page ends before it has too many. Default: none to speak of. */
  readonly sizeOf?: (message: Message) => number;
}

/**
 * The page of `entries` that `request` asks for.
 *
 * @param asked what the list is of: the method and the filter
 * @throws ServiceError `INVALID_FIELD` if the token is not of a page of this list
 */
export function listPage<Entry, Message>(
  entries: readonly Entry[],
  { pageSize, pageToken }: PageRequest,
  asked: JsonLike,
  { keyOf, toMessage, sizeOf = () => 0 }: PageForm<Entry, Message>,
): MessagePage<Message> {
  // A name may hold half a surrogate pair, which UTF-8 cannot.
  const after = pageToken === "" ? undefined : parsePageToken(pageToken, asked).toString("utf16le");
  const page = pageAfter(entries, keyOf, after, pageSize || defaultPageSize);
  const messages: Message[] = [];
  let last: Entry | undefined;
  let sizeBytes = 0;
  for (const entry of page.entries) {
    const message = toMessage(entry);
    sizeBytes += sizeOf(message);
    if (messages.length > 0 && sizeBytes > pageBudgetBytes) {
      break;
    }
    messages.push(message);
    last = entry;
  }
  const hasMore = page.hasMore || messages.length < page.entries.length;
  return {
    messages,
    nextPageToken:
      hasMore && last !== undefined ? createPageToken(Buffer.from(keyOf(last), "utf16le"), asked) : "",
  };
}

const defaultPageSize = 100;
/** Well below the 4 MiB that gRPC clients accept unconfigured. */
const pageBudgetBytes = 2 * 1024 * 1024;
