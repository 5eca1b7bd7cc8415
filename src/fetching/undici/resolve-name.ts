import { Resolver } from "node:dns/promises";

/**
 * Asks the name servers of the system for the addresses of a host, those of IPv4 first. Unlike the system's own function,
 * it takes no thread for as long as a name server is silent, and knows no names of local networks.
 *
 * @throws Error if there are none; the reason of `signal`
 */
export async function resolveName(hostname: string, signal: AbortSignal): Promise<readonly string[]> {
  signal.throwIfAborted();
  const resolver = new Resolver({ timeout: 3_000, tries: 2 });
  const cancel = () => resolver.cancel();
  signal.addEventListener("abort", cancel, { once: true });
  try {
    const answers = await Promise.allSettled([resolver.resolve4(hostname), resolver.resolve6(hostname)]);
    signal.throwIfAborted();
    const addresses = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
    if (addresses.length === 0) {
      throw answers.find((answer) => answer.status === "rejected")?.reason;
    }
    return addresses;
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}
