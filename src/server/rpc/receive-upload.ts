import type { HandlerContext } from "@connectrpc/connect";
import type { UploadInfo } from "../../../gen/comfyrpc/v1/asset_service_pb.js";
import type { AssetService } from "../../assets/asset-service.ts";
import type { AssetRecord } from "../../storage/asset-store.ts";
import { callSignal } from "../call-signal.ts";
import { callerOf } from "../caller-of.ts";
import { fromUploadInfoMessage } from "../convert/asset.ts";

/** Takes in an upload, or only checks it if that is what the caller wants. */
export async function receiveUpload(
  assets: Pick<AssetService, "upload" | "checkUpload">,
  info: UploadInfo | undefined,
  body: AsyncIterable<Uint8Array>,
  context: HandlerContext,
): Promise<AssetRecord> {
  const [upload, caller, signal] = [fromUploadInfoMessage(info), callerOf(context), callSignal(context)];
  return info?.validateOnly
    ? await assets.checkUpload(body, upload, caller, signal)
    : await assets.upload(body, upload, caller, signal);
}
