import ipaddr from "ipaddr.js";

/** Addresses that look public and lead to what a cloud tells its machines about themselves. */
const hostAddresses: ReadonlySet<string> = new Set(["168.63.129.16"]); // Azure

/** All that is given out for use on the internet (RFC 4291, 2.4). */
const globalIpv6 = ipaddr.IPv6.parseCIDR("2000::/3");

/**
 * Whether an IP address is one of the public internet: no private, local, shared, documentation or reserved one, and no
 * IPv6 address that stands for an IPv4 address, as that may be any of those.
 */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) {
    return false;
  }
  const parsed = ipaddr.parse(address);
  if (parsed.range() !== "unicast" || hostAddresses.has(parsed.toString())) {
    return false;
  }
  return !(parsed instanceof ipaddr.IPv6) || (parsed.zoneId === undefined && parsed.match(globalIpv6));
}
