import { cutText } from "../../lib/cut-text.ts";

/** A name from a workflow, short enough for a message: up to 64 characters. */
export function shortName(name: string): string {
  return cutText(name, 64);
}
