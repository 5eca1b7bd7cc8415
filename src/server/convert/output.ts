import type { MessageInitShape } from "@bufbuild/protobuf";
import { OutputKind as KindMessage, type OutputSchema } from "../../../gen/comfyrpc/v1/output_pb.js";
import type { OutputInfo, OutputKind } from "../../domain/output.ts";

/** Writes what is known of an output. */
export function toOutputInit({
  place,
  kind,
  sha256,
  sizeBytes,
  ...rest
}: OutputInfo): MessageInitShape<typeof OutputSchema> {
  return {
    ...rest,
    key: place.key,
    kind: messageKind[kind],
    sizeBytes: BigInt(sizeBytes),
    sha256,
    assetId: sha256,
  };
}

const messageKind: Readonly<Record<OutputKind, KindMessage>> = {
  image: KindMessage.IMAGE,
  animation: KindMessage.ANIMATION,
  video: KindMessage.VIDEO,
  audio: KindMessage.AUDIO,
  model3d: KindMessage.MODEL3D,
  latent: KindMessage.LATENT,
  text: KindMessage.TEXT,
  file: KindMessage.FILE,
};
