import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  UploadAssetRequestSchema,
  UploadInfoSchema,
} from "../../../gen/comfyrpc/v1/asset_service_pb.js";

/** Most bytes to put into one message. */
export const pieceBytes = 256 * 1024;

/** The messages of an upload: what it is, then its bytes, in pieces that the service likes. */
export async function* uploadRequests(
  info: MessageInitShape<typeof UploadInfoSchema>,
  bytes: AsyncIterable<Uint8Array>,
): AsyncGenerator<MessageInitShape<typeof UploadAssetRequestSchema>, void, undefined> {
  yield { part: { case: "info", value: info } };
  for await (const chunk of bytes) {
    for (let start = 0; start < chunk.byteLength; start += pieceBytes) {
      yield { part: { case: "data", value: chunk.subarray(start, start + pieceBytes) } };
    }
  }
}
