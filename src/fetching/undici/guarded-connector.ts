import { isIP, type LookupFunction } from "node:net";
import { buildConnector } from "undici";

/** Makes of the name of a host its addresses. */
export type Resolve = (hostname: string, signal: AbortSignal) => Promise<readonly string[]>;

export interface GuardDependencies {
  readonly resolve: Resolve;
  /** Whether an address may be connected to. */
  readonly isAllowed: (address: string) => boolean;
  /** Certificates in PEM that are trusted instead of the system's. Default: the system's. */
  readonly ca?: string;
}

/** No address of the host may be connected to; or it has none, which must look the same. */
export class NoAllowedAddressError extends Error {
  override readonly name = "NoAllowedAddressError";
}

/**
 * Makes connections to allowed addresses only. A name is resolved once for each connection, and what was checked is what
 * is connected to, so that nothing comes of a name server that says something else every time.
 *
 * @param signal ends resolving and connecting, of which requests do not hear before they have a connection
 */
export function createGuardedConnector(
  { resolve, isAllowed, ca }: GuardDependencies,
  signal: AbortSignal,
): buildConnector.connector {
  const lookup: LookupFunction = (hostname, options, callback) => {
    allowedAddresses(hostname).then(
      ([first, ...others]) => {
        if (options.all) {
          callback(
            null,
            [first, ...others].map((address) => ({ address, family: isIP(address) })),
          );
        } else {
          callback(null, first, isIP(first));
        }
      },
      (error) => callback(error, ""),
    );
  };
  const allowedAddresses = async (hostname: string): Promise<readonly [string, ...string[]]> => {
    const addresses = await resolve(hostname, signal).catch((cause: unknown) => {
      throw new NoAllowedAddressError("the name of the host leads nowhere", { cause });
    });
    const [first, ...others] = addresses.filter(isAllowed);
    if (first === undefined) {
      throw new NoAllowedAddressError("the host has no allowed address");
    }
    return [first, ...others];
  };
  const connect = buildConnector({ lookup, signal, ...(ca !== undefined && { ca }) });
  return (options, callback) => {
    const literal = options.hostname.replace(/^\[|\]$/g, "");
    if (isIP(literal) !== 0 && !isAllowed(literal)) {
      callback(new NoAllowedAddressError("the address is not allowed"), null);
      return;
    }
    connect(options, (...[error, socket]) => {
      if (error !== null) {
        callback(error, null);
      } else if (isAllowed(socket.remoteAddress ?? "")) {
        callback(null, socket);
      } else {
        socket.destroy();
        callback(new NoAllowedAddressError("the connection leads to an address that is not allowed"), null);
      }
    });
  };
}
