import { describe, expect, it } from "vitest";
import { dropEndlessDeadline } from "./deadline.ts";

describe("dropEndlessDeadline", () => {
  it.each([
    ["connect-timeout-ms", "2147483648"],
    ["grpc-timeout", "597H"],
    ["grpc-timeout", "35792M"],
    ["grpc-timeout", "2147484S"],
  ])("removes what is too long for a timer: %s: %s", (name, value) => {
    expect(afterDropping(name, value)).toBeNull();
  });

  it.each([
    ["connect-timeout-ms", "2147483647"],
    ["connect-timeout-ms", "0"],
    ["grpc-timeout", "596H"],
    ["grpc-timeout", "35791M"],
    ["grpc-timeout", "2147483S"],
    ["grpc-timeout", "99999999m"],
    ["grpc-timeout", "99999999u"],
    ["grpc-timeout", "99999999n"],
  ])("keeps other deadlines: %s: %s", (name, value) => {
    expect(afterDropping(name, value)).toBe(value);
  });

  it.each([
    ["connect-timeout-ms", "99999999999"],
    ["connect-timeout-ms", "soon"],
    ["grpc-timeout", "999999999H"],
    ["grpc-timeout", "1D"],
  ])("leaves malformed ones for the protocol to refuse: %s: %s", (name, value) => {
    expect(afterDropping(name, value)).toBe(value);
  });
});

function afterDropping(name: string, value: string): string | null {
  const header = new Headers({ [name]: value });
  dropEndlessDeadline(header);
  return header.get(name);
}
