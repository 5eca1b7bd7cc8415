import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isPublicAddress } from "./public-address.ts";

/** Addresses by their bits, so that nothing here depends on how a library reads ranges. */
function ipv4Of(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join(".");
}

function ipv6Of(value: bigint): string {
  return Array.from({ length: 8 }, (_, i) => ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16)).join(
    ":",
  );
}

/** All blocks of the IANA registries of special addresses that are not globally reachable, and the multicast ones. */
const specialIpv4: readonly [bits: string, length: number][] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
];

const specialIpv6: readonly [prefix: bigint, length: number][] = [
  [0n, 8], // ::, ::1, ::a.b.c.d, ::ffff:a.b.c.d, ::ffff:0:a.b.c.d, 64:ff9b::/96, 64:ff9b:1::/48
  [0x0100n << 112n, 8],
  [0x2001n << 112n, 32], // Teredo
  [(0x2001n << 112n) | (0x0db8n << 96n), 32],
  [0x2002n << 112n, 16], // 6to4
  [0x3fffn << 112n, 20],
  [0x5f00n << 112n, 16],
  [0xfc00n << 112n, 7],
  [0xfe80n << 112n, 10],
  [0xfec0n << 112n, 10],
  [0xff00n << 112n, 8],
];

function numberOf(address: string): number {
  return address.split(".").reduce((value, byte) => value * 256 + Number(byte), 0);
}

describe("isPublicAddress", () => {
  it("refuses every address in every special block of IPv4", () => {
    const inBlock = fc
      .tuple(fc.constantFrom(...specialIpv4), fc.nat({ max: 2 ** 32 - 1 }))
      .map(([[start, length], any]) => ipv4Of(numberOf(start) + (any % 2 ** (32 - length))));
    fc.assert(
      fc.property(inBlock, (address) => !isPublicAddress(address)),
      { numRuns: 2_000 },
    );
  });

  it("refuses every IPv6 address that stands for one of IPv4, private or not", () => {
    const prefixes = ["::", "::ffff:", "::ffff:0:", "64:ff9b::", "64:ff9b:1::"];
    const standIn = fc
      .tuple(fc.constantFrom(...prefixes), fc.nat({ max: 2 ** 32 - 1 }))
      .map(([prefix, value]) => `${prefix}${ipv4Of(value)}`);
    const sixToFour = fc
      .nat({ max: 2 ** 32 - 1 })
      .map((value) => ipv6Of((0x2002n << 112n) | (BigInt(value) << 80n) | 1n));
    fc.assert(
      fc.property(fc.oneof(standIn, sixToFour), (address) => !isPublicAddress(address)),
      { numRuns: 2_000 },
    );
  });

  it("refuses every address in every special block of IPv6, and all that is not given out", () => {
    const any = fc.bigInt({ min: 0n, max: 2n ** 128n - 1n });
    const inBlock = fc
      .tuple(fc.constantFrom(...specialIpv6), any)
      .map(([[prefix, length], value]) => ipv6Of(prefix | (value & (2n ** BigInt(128 - length) - 1n))));
    const notGivenOut = any.filter((value) => value >> 125n !== 1n).map(ipv6Of);
    fc.assert(
      fc.property(fc.oneof(inBlock, notGivenOut), (address) => !isPublicAddress(address)),
      { numRuns: 2_000 },
    );
  });

  it("takes the addresses around the special blocks", () => {
    for (const [start, length] of specialIpv4) {
      const [before, after] = [numberOf(start) - 1, numberOf(start) + 2 ** (32 - length)];
      for (const value of [before, after].filter((each) => each >= 0 && each < 2 ** 32)) {
        const isInAnother = specialIpv4.some(
          ([other, bits]) =>
            Math.floor(value / 2 ** (32 - bits)) === Math.floor(numberOf(other) / 2 ** (32 - bits)),
        );
        expect([ipv4Of(value), isPublicAddress(ipv4Of(value))]).toEqual([ipv4Of(value), !isInAnother]);
      }
    }
  });

  it.each(["8.8.8.8", "1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e"])(
    "takes %s",
    (address) => {
      expect(isPublicAddress(address)).toBe(true);
    },
  );

  it.each([
    ["Azure's address for its machines", "168.63.129.16"],
    ["a zone", "2606:4700:4700::1111%eth0"],
    ["a name", "example.com"],
    ["nothing", ""],
  ])("refuses %s", (_what, address) => {
    expect(isPublicAddress(address)).toBe(false);
  });
});
