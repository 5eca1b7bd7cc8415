import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type UploadAssetRequest,
  type UploadAssetResponse,
  UploadAssetResponseSchema,
} from "../../../gen/comfyrpc/v1/asset_service_pb.js";
import type { AssetService } from "../../assets/asset-service.ts";
import { abortable } from "../../lib/abortable.ts";
import { callSignal } from "../call-signal.ts";
import { toAssetMessage } from "../convert/asset.ts";
import { invalidField } from "../invalid-fields.ts";
import { receiveUpload } from "./receive-upload.ts";

/** `AssetService.UploadAsset`: takes what comes straight to the store, as fast as that takes it. */
export function uploadAsset({ assets }: { readonly assets: Pick<AssetService, "upload" | "checkUpload"> }) {
  return async (
    requests: AsyncIterable<UploadAssetRequest>,
    context: HandlerContext,
  ): Promise<UploadAssetResponse> => {
    const messages = abortable(requests, callSignal(context)); // a caller may fall silent
    const first = await messages.next();
    if (first.done || first.value.part.case !== "info") {
      throw invalidField("info", "must come in the first message");
    }
    const asset = await receiveUpload(assets, first.value.part.value, dataIn(messages), context);
    return create(UploadAssetResponseSchema, { asset: toAssetMessage(asset) });
  };
}

/** The bytes of all messages after the first, which has been taken. */
async function* dataIn(messages: AsyncIterable<UploadAssetRequest>): AsyncGenerator<Uint8Array> {
  for await (const { part } of messages) {
    if (part.case !== "data") {
      throw invalidField("info", "must come in the first message only, and data in every other");
    }
    yield part.value;
  }
}
