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
import { callerOf } from "../caller-of.ts";
import { fromUploadInfoMessage, toAssetMessage } from "../convert/asset.ts";
import { invalidField } from "../invalid-fields.ts";

/** `AssetService.UploadAsset`: takes what comes straight to the store, as fast as that takes it. */
export function uploadAsset({ assets }: { readonly assets: Pick<AssetService, "upload"> }) {
  return async (
    requests: AsyncIterable<UploadAssetRequest>,
    context: HandlerContext,
  ): Promise<UploadAssetResponse> => {
    const signal = callSignal(context);
    const messages = abortable(requests, signal); // a caller may fall silent
    const first = await messages.next();
    if (first.done || first.value.part.case !== "info") {
      throw invalidField("info", "must come in the first message");
    }
    const info = fromUploadInfoMessage(first.value.part.value);
    const asset = await assets.upload(dataIn(messages), info, callerOf(context), signal);
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
