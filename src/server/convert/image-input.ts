import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ImageInput, ImageInputSchema } from "../../../gen/comfyrpc/v1/image_input_pb.js";
import type { ImageSource, InputImage } from "../../domain/input-image.ts";
import { invalidField } from "../invalid-fields.ts";

/**
 * Reads where an image is that a job needs.
 *
 * @param field path of the field in the request
 * @throws ServiceError `INVALID_FIELD` if nothing is said
 */
export function fromImageInput(input: ImageInput | undefined, field: string): ImageSource {
  switch (input?.source.case) {
    case "assetId":
      return { type: "asset", assetId: input.source.value };
    case "data":
      return { type: "data", data: input.source.value };
    case "url":
      return { type: "url", url: input.source.value };
    case undefined:
      throw invalidField(field, "an image is required: asset_id, data or url");
  }
}

/** Writes an image that a job reads, as the asset that it has become. */
export function toImageInput({ assetId }: InputImage): MessageInitShape<typeof ImageInputSchema> {
  return { source: { case: "assetId", value: assetId } };
}
