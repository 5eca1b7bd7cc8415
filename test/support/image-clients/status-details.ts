import { z } from "zod";
import { createDecoder, loadProtoFiles } from "./proto-files.ts";

let decoding: Promise<(type: string, bytes: Uint8Array) => object> | undefined;

/** A decoder of `google.rpc.Status` and of what may be among its details. */
function decoder(): Promise<(type: string, bytes: Uint8Array) => object> {
  decoding ??= loadProtoFiles("google/rpc/status.proto", "google/rpc/error_details.proto").then(
    createDecoder,
  );
  return decoding;
}

const status = z.object({
  details: z.array(z.object({ type_url: z.string(), value: z.string() })).default([]),
});

/** Decodes the header `grpc-status-details-bin`. */
export async function decodeStatusDetails(bytes: Uint8Array): Promise<Map<string, unknown>> {
  const decode = await decoder();
  const { details } = status.parse(decode("google.rpc.Status", bytes));
  return new Map(
    details.map(({ type_url, value }) => {
      const type = type_url.replace(/^.*\//, "");
      return [type, decode(type, Buffer.from(value, "base64"))];
    }),
  );
}

const connectDetails = z.array(z.object({ type: z.string(), value: z.string() })).default([]);

/** Decodes the `details` of an error in JSON, as the Connect protocol has them. */
export async function decodeConnectDetails(details: unknown): Promise<Map<string, unknown>> {
  const decode = await decoder();
  return new Map(
    connectDetails
      .parse(details)
      .map(({ type, value }) => [type, decode(type, Buffer.from(value, "base64"))]),
  );
}
