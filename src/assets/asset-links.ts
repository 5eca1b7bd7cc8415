import { createHmac, timingSafeEqual } from "node:crypto";
import type { Clock } from "../lib/clock.ts";
import type { AssetStore } from "../storage/asset-store.ts";

/** Where the bytes of an asset are served, without a signature. */
export function assetPath(assetId: string): string {
  return `/assets/${assetId}`;
}

/** What came of looking at a link. */
export type LinkCheck =
  | { readonly type: "valid"; readonly expireTime: Date }
  /** It was given out, and its time is over. */
  | { readonly type: "expired" }
  /** It was not given out, for this asset at least. */
  | { readonly type: "invalid" };

/**
 * Links to assets that work without credentials for a while, on every replica: the path of the asset with the moment of
 * expiry, in seconds since 1970, and an HMAC-SHA256 over asset, tenant and expiry under a key that the replicas share.
 */
export class AssetLinks {
  readonly #store: Pick<AssetStore, "signingKey">;
  readonly #clock: Clock;
  #key: Uint8Array | undefined;

  constructor(store: Pick<AssetStore, "signingKey">, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /**
   * The path and query of a link that works at least until `expireTime`.
   *
   * @throws ServiceError `STORE_UNAVAILABLE`
   */
  async sign(assetId: string, tenant: string, expireTime: Date, signal: AbortSignal): Promise<string> {
    const expires = Math.ceil(expireTime.getTime() / 1_000);
    const signature = await this.#signatureOf(assetId, tenant, expires, signal);
    return `${assetPath(assetId)}?expires=${expires}&signature=${signature.toString("base64url")}`;
  }

  /** Whether `query` claims to be that of a link. */
  isSigned(query: URLSearchParams): boolean {
    return query.has("expires") || query.has("signature");
  }

  /**
   * Checks the query of a link to an asset.
   *
   * @throws ServiceError `STORE_UNAVAILABLE`
   */
  async check(
    assetId: string,
    tenant: string,
    query: URLSearchParams,
    signal: AbortSignal,
  ): Promise<LinkCheck> {
    const [expires = "", ...moreExpiries] = query.getAll("expires");
    const [signature = "", ...moreSignatures] = query.getAll("signature");
    if (moreExpiries.length + moreSignatures.length > 0 || !/^[1-9]\d{0,10}$/.test(expires)) {
      return { type: "invalid" };
    }
    const expected = await this.#signatureOf(assetId, tenant, Number(expires), signal);
    const given = Buffer.from(signature, "base64url");
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
      return { type: "invalid" };
    }
    const expireTime = new Date(Number(expires) * 1_000);
    return expireTime <= this.#clock.now() ? { type: "expired" } : { type: "valid", expireTime };
  }

  async #signatureOf(assetId: string, tenant: string, expires: number, signal: AbortSignal): Promise<Buffer> {
    this.#key ??= await this.#store.signingKey(signal);
    // The first two parts hold no line break, so no other link has this text.
    return createHmac("sha256", this.#key)
      .update(`comfyrpc asset link 1\n${assetId}\n${expires}\n${tenant}`)
      .digest();
  }
}
