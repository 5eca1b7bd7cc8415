import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import sharp from "sharp";
import { startEngineProcess, startServiceProcess } from "./child-process.ts";
import { round, withPeakMemory } from "./measure.ts";
import { connect } from "./service-clients.ts";

const downloadCount = 100;
const connectionCount = 10;
const mebibyte = 1024 * 1024;

/**
 * 100 downloads of 16 MiB at once, by gRPC and by plain HTTP, beside a bare HTTP server of Node that streams the same
 * file; and how much memory the service takes for it.
 */
export async function benchDownloads(): Promise<void> {
  await using engine = await startEngineProcess();
  await using service = await startServiceProcess({ COMFYUI_URL: engine.url });
  const data = await noise();
  using uploader = connect(service.url);
  const { asset } = await uploader.assets.createAsset({ data });
  const assetId = asset?.assetId ?? "";
  await using bare = await serveFile(data);
  const sha256 = createHash("sha256").update(data).digest("hex");
  if (sha256 !== assetId) {
    throw new Error("the asset has other bytes than were uploaded");
  }

  const rows: Record<string, object> = {};
  const totalBytes = downloadCount * data.length;
  const measure = async (name: string, pid: number | undefined, download: (i: number) => Promise<number>) => {
    const run = async () => {
      const startMs = performance.now();
      const sizes = await Promise.all(Array.from({ length: downloadCount }, (_, i) => download(i)));
      if (sizes.some((size) => size !== data.length)) {
        throw new Error(`${name}: a download has another size than what was uploaded`);
      }
      return performance.now() - startMs;
    };
    const { value: timeMs, beforeBytes, peakBytes } = await withPeakMemory(pid ?? process.pid, run);
    rows[name] = {
      "MiB/s": Math.round(totalBytes / mebibyte / (timeMs / 1_000)),
      ...(pid !== undefined && {
        "memory before [MiB]": Math.round(beforeBytes / mebibyte),
        "peak [MiB]": Math.round(peakBytes / mebibyte),
      }),
    };
  };

  await measure("bare HTTP server", undefined, () => fetchSize(bare.url));
  await measure("GET /assets", service.pid, () => fetchSize(`${service.url}/assets/${assetId}`));
  const clients = Array.from({ length: connectionCount }, () => connect(service.url));
  try {
    await measure("DownloadAsset", service.pid, async (i) => {
      let size = 0;
      for await (const { data: piece } of clients[i % clients.length]?.assets.downloadAsset({ assetId }) ??
        []) {
        size += piece.length;
      }
      return size;
    });
  } finally {
    for (const client of clients) {
      client[Symbol.dispose]();
    }
  }
  console.log(
    `${downloadCount} downloads of ${round(data.length / mebibyte)} MiB at once, read as fast as they come`,
  );
  console.table(rows);
}

/** A picture of noise, which nothing makes smaller. */
async function noise(): Promise<Uint8Array> {
  const [width, height] = [2_400, 2_330];
  return await sharp(randomBytes(width * height * 3), { raw: { width, height, channels: 3 } })
    .png({ compressionLevel: 0 })
    .toBuffer();
}

async function fetchSize(url: string): Promise<number> {
  const { body } = await fetch(url);
  let size = 0;
  for await (const piece of body ?? []) {
    size += piece.length;
  }
  return size;
}

async function serveFile(data: Uint8Array) {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(await mkdtempDisposable(join(tmpdir(), "comfyrpc-bench-")));
  const file = join(path, "file");
  await writeFile(file, data);
  const server = stack.use(
    createServer((_, response) => {
      pipeline(createReadStream(file, { highWaterMark: 256 * 1024 }), response).catch((error: unknown) =>
        console.error(error),
      );
    }),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const owned = stack.move();
  return {
    url: `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}/`,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
