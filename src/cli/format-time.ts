import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import { formatSeconds } from "./format-duration.ts";

/** A moment for people, to the second and in UTC, and how far it is from `now`: `2026-03-01 12:00:00Z, 5m03s ago`. */
export function formatTime(timestamp: Timestamp, now: Date): string {
  const date = timestampDate(timestamp);
  const awayMs = date.getTime() - now.getTime();
  const distance = awayMs > 0 ? `in ${formatSeconds(awayMs)}` : `${formatSeconds(-awayMs)} ago`;
  return `${date.toISOString().slice(0, 19).replace("T", " ")}Z, ${distance}`;
}
