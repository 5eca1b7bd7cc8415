import { createHash } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { expect } from "vitest";
import type { GenerationSpecSchema } from "../../gen/comfyrpc/v1/generation_pb.js";
import { type BackendHealth, BackendState } from "../../gen/comfyrpc/v1/health_pb.js";
import { ImageService } from "../../gen/comfyrpc/v1/image_service_pb.js";
import type { JobEvent } from "../../gen/comfyrpc/v1/job_event_pb.js";
import type { GenerationResult } from "../../gen/comfyrpc/v1/result_pb.js";
import { type RpcFailure, toRpcFailure } from "./rpc-failure.ts";
import { waitUntil } from "./wait-until.ts";

export type SpecInit = MessageInitShape<typeof GenerationSpecSchema>;

/** A caller that speaks gRPC over one connection of its own, which disposing of it closes. */
export interface ImageClient extends Disposable {
  readonly rpc: Client<typeof ImageService>;
}

export function connectImages(url: string): ImageClient {
  const sessionManager = new Http2SessionManager(url);
  const transport = createGrpcTransport({ baseUrl: url, sessionManager });
  return {
    rpc: createClient(ImageService, transport),
    [Symbol.dispose]: () => sessionManager.abort(),
  };
}

/** How a `GenerateWithProgress` call went. */
export interface Outcome {
  readonly events: readonly JobEvent[];
  /** The images, whole, by their index. */
  readonly images: readonly Uint8Array[];
  /** What the call succeeded with. */
  readonly result: GenerationResult | undefined;
  /** What the call failed with. */
  readonly failure: RpcFailure | undefined;
}

export interface DrawOptions {
  readonly onEvent?: (event: JobEvent) => void;
  /** Cancels the call. */
  readonly cancel?: AbortSignal;
  readonly timeoutMs?: number;
}

/** Calls `GenerateWithProgress` and reads it to its end, which must come within `boundMs`. */
export async function draw(
  { rpc }: ImageClient,
  spec: SpecInit,
  { onEvent, cancel, timeoutMs }: DrawOptions = {},
  boundMs = 50_000,
): Promise<Outcome> {
  const bound = AbortSignal.timeout(boundMs);
  const events: JobEvent[] = [];
  let failure: RpcFailure | undefined;
  try {
    const signal = cancel === undefined ? bound : AbortSignal.any([bound, cancel]);
    const options = timeoutMs === undefined ? { signal } : { signal, timeoutMs };
    for await (const { event } of rpc.generateWithProgress({ spec }, options)) {
      if (event !== undefined) {
        events.push(event);
        onEvent?.(event);
      }
    }
  } catch (error) {
    bound.throwIfAborted(); // it hung
    failure = toRpcFailure(error);
  }
  const last = events.at(-1)?.event;
  return {
    events,
    images: imagesOf(events),
    result: last?.case === "completed" ? last.value.result : undefined,
    failure,
  };
}

/** What the service says of its only backend. */
export async function backendOf({ rpc }: ImageClient): Promise<BackendHealth> {
  const { health } = await rpc.health({}, { timeoutMs: 10_000 });
  const [backend] = health?.backends ?? [];
  if (backend === undefined) {
    throw new Error("the service names no backend");
  }
  return backend;
}

/** Waits until the service says of its backend that it is in `state`. */
export async function untilBackend(client: ImageClient, state: keyof typeof BackendState): Promise<void> {
  await waitUntil(
    async () => (await backendOf(client)).state === BackendState[state],
    `the backend is ${state}`,
  );
}

/** The bytes of each image, put together from its chunks where it came in chunks; each checked against its hash. */
function imagesOf(events: readonly JobEvent[]): Uint8Array[] {
  const images: { readonly index: number; readonly sha256: string; readonly parts: Uint8Array[] }[] = [];
  for (const { event } of events) {
    if (event.case === "image" && event.value.image !== undefined) {
      const { index, sha256, data } = event.value.image;
      images.push({ index, sha256, parts: [data] });
    } else if (event.case === "imageChunk") {
      images.at(-1)?.parts.push(event.value.data);
    }
  }
  return images
    .toSorted((a, b) => a.index - b.index)
    .map(({ sha256, parts }) => {
      const data = Buffer.concat(parts);
      expect(createHash("sha256").update(data).digest("hex")).toBe(sha256);
      return data;
    });
}
