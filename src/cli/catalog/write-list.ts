import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { jsonLine } from "../event-json.ts";
import type { CliIo } from "../io.ts";
import { plainText } from "../plain-text.ts";
import { tableLines } from "../table.ts";
import { writeLines } from "../write-lines.ts";

/** How a list is shown. */
export interface ListForm<Desc extends DescMessage> {
  readonly schema: Desc;
  readonly header: readonly string[];
  /** A cell for each column of the header. */
  readonly rowOf: (item: MessageShape<Desc>) => readonly string[];
  /** What to say where there are none. */
  readonly none: string;
}

/** Writes `items` to standard output: a table, or each as a line of JSON. Says so on standard error if there are none. */
export function writeList<Desc extends DescMessage>(
  io: CliIo,
  items: readonly MessageShape<Desc>[],
  json: boolean,
  { schema, header, rowOf, none }: ListForm<Desc>,
): void {
  if (json) {
    for (const item of items) io.stdout.write(jsonLine(schema, item));
    return;
  }
  if (items.length === 0) {
    writeLines(io, [none]);
    return;
  }
  const rows = items.map((item) => rowOf(item).map(plainText));
  for (const line of tableLines([header, ...rows])) io.stdout.write(`${line}\n`);
}

/** Everything on the pages that `load` brings one after the other, beginning with the empty token. */
export async function allPages<T>(
  load: (pageToken: string) => Promise<{ readonly items: readonly T[]; readonly nextPageToken: string }>,
): Promise<T[]> {
  const all: T[] = [];
  let pageToken = "";
  do {
    const { items, nextPageToken } = await load(pageToken);
    all.push(...items);
    pageToken = nextPageToken;
  } while (pageToken !== "");
  return all;
}
