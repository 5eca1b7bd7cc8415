import { createHash } from "node:crypto";
import type { Asset } from "../../../gen/comfyrpc/v1/asset_pb.js";
import type { DownloadAssetResponse } from "../../../gen/comfyrpc/v1/asset_service_pb.js";
import type { AssetClient } from "../asset-client.ts";
import { DeliveryError } from "../delivery-error.ts";
import { type ResumePolicy, resumed } from "../resumed.ts";

/**
 * Hands the bytes of an asset to `write`, one piece after the other, and checks them. When the connection is lost, it
 * goes on with the byte after the last.
 *
 * @returns what the service knows of the asset
 * @throws DeliveryError if the bytes are not those that were announced; `write` may have had all of them by then
 * @throws RpcError if the service refuses, such as `NOT_FOUND`, or when it stays out of reach as `policy` says
 */
export async function downloadAsset(
  client: AssetClient,
  assetId: string,
  write: (bytes: Uint8Array, asset: Asset) => Promise<void>,
  policy: ResumePolicy,
  signal: AbortSignal,
): Promise<Asset> {
  const hash = createHash("sha256");
  let asset: Asset | undefined;
  let offset = 0n;
  const open = () => client.downloadAsset({ assetId, offset }, signal);
  for await (const message of resumed(open, policy, signal)) {
    asset ??= message.asset;
    if (message.data.byteLength === 0) continue;
    assertInOrder(message, offset);
    hash.update(message.data);
    offset += BigInt(message.data.byteLength);
    await write(message.data, asset ?? missing(assetId));
  }
  const known = asset ?? missing(assetId);
  if (offset !== known.sizeBytes) {
    throw new DeliveryError(`the file arrived damaged: ${offset} bytes of ${known.sizeBytes} bytes`);
  }
  if (hash.digest("hex") !== known.sha256) {
    throw new DeliveryError("the file arrived damaged: its SHA-256 is another");
  }
  return known;
}

function assertInOrder({ offset }: DownloadAssetResponse, expected: bigint): void {
  if (offset !== expected) throw new DeliveryError("the file arrived damaged: a part came out of order");
}

function missing(assetId: string): never {
  throw new DeliveryError(`the service sent nothing about ${assetId}`);
}
