import { describe, expect, it } from "vitest";
import { formatServerAddress, grpcTarget, isLoopback, parseServerAddress } from "./server-address.ts";
import { UsageError } from "./usage-error.ts";

describe("parseServerAddress", () => {
  it.each([
    ["127.0.0.1:8080", { host: "127.0.0.1", port: 8080, tls: false }],
    ["images.example", { host: "images.example", port: 8080, tls: false }],
    ["images.example:80", { host: "images.example", port: 80, tls: false }],
    ["http://images.example", { host: "images.example", port: 80, tls: false }],
    ["https://images.example", { host: "images.example", port: 443, tls: true }],
    ["https://images.example:8443/", { host: "images.example", port: 8443, tls: true }],
    ["[::1]:9000", { host: "::1", port: 9000, tls: false }],
  ])("reads %s", (text, address) => {
    expect(parseServerAddress(text)).toEqual(address);
  });

  it("speaks TLS when told to", () => {
    expect(parseServerAddress("images.example:8443", true)).toEqual({
      host: "images.example",
      port: 8443,
      tls: true,
    });
    expect(() => parseServerAddress("http://images.example", true)).toThrow(UsageError);
  });

  it.each([
    "",
    "8080",
    "ftp://host",
    "host:0",
    "host:99999",
    "http://host/path",
    "user@host",
    "::1:80",
    "a b",
  ])("refuses %j", (text) => {
    expect(() => parseServerAddress(text)).toThrow(UsageError);
  });
});

it("brackets IPv6 addresses in targets and in messages", () => {
  expect(grpcTarget({ host: "::1", port: 8080, tls: false })).toBe("dns:[::1]:8080");
  expect(formatServerAddress({ host: "::1", port: 8443, tls: true })).toBe("https://[::1]:8443");
});

it("knows which hosts are this machine", () => {
  expect(["localhost", "127.0.0.1", "127.9.9.9", "::1"].every(isLoopback)).toBe(true);
  expect(["127.0.0.1.example", "10.0.0.1", "images.example"].some(isLoopback)).toBe(false);
});
