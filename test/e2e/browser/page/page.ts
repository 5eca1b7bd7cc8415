import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { ImageService } from "../../../../gen/comfyrpc/v1/image_service_pb.js";
import type { PageRun } from "../page-run.ts";

/** Draws in the page over the given protocol, and shows the picture in its `<img>`. */
export async function drawInPage(baseUrl: string, protocol: "connect" | "grpcweb"): Promise<PageRun> {
  const options = { baseUrl, useBinaryFormat: true };
  const transport =
    protocol === "connect" ? createConnectTransport(options) : createGrpcWebTransport(options);
  const images = createClient(ImageService, transport);
  const events: string[] = [];
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let previewCount = 0;
  const spec = {
    prompt: "a red fox in the snow",
    widthPx: 256,
    heightPx: 192,
    steps: 6,
    preview: { maxSidePx: 128 },
    output: { inlineLimitBytes: 0 },
  };
  try {
    for await (const { event } of images.generateWithProgress({ spec })) {
      const happened = event?.event;
      events.push(happened?.case ?? "nothing");
      previewCount += happened?.case === "preview" ? 1 : 0;
      if (happened?.case === "imageChunk") {
        chunks.push(new Uint8Array(happened.value.data));
      }
    }
  } catch (error) {
    return { events, previewCount, widthPx: 0, heightPx: 0, error: String(error) };
  }
  const picture = document.querySelector("img");
  if (picture === null) {
    throw new Error("the page has no <img>");
  }
  picture.src = URL.createObjectURL(new Blob(chunks, { type: "image/png" }));
  await picture.decode();
  return { events, previewCount, widthPx: picture.naturalWidth, heightPx: picture.naturalHeight, error: "" };
}

Object.assign(globalThis, { drawInPage });
