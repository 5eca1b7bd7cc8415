/**
 * Removes a deadline that lies further ahead than a timer of Node can run, some 24 days; such a timer would fire at
 * once. Callers who set one mean that there is none. Malformed deadlines are left for the protocol to refuse.
 */
export function dropEndlessDeadline(header: Headers): void {
  if (connectTimeoutMs(header.get("connect-timeout-ms")) > longestTimerMs)
    header.delete("connect-timeout-ms");
  if (grpcTimeoutMs(header.get("grpc-timeout")) > longestTimerMs) header.delete("grpc-timeout");
}

const longestTimerMs = 2 ** 31 - 1;

function connectTimeoutMs(value: string | null): number {
  return value !== null && /^\d{1,10}$/.test(value) ? Number(value) : 0;
}

/** https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests: up to eight digits and a unit. */
function grpcTimeoutMs(value: string | null): number {
  const [, digits = "0", unit = "m"] = /^(\d{1,8})([HMSm])$/.exec(value ?? "") ?? [];
  return Number(digits) * (unitsMs[unit] ?? 0);
}

/** Microseconds and nanoseconds are left out: eight digits of them are never long. */
const unitsMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1 };
