import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { Pool } from "undici";
import { WebSocket } from "ws";
import type { BenchCall } from "./measure.ts";

/** A script against ComfyUI's own API, as short as one can be that still waits for the right moment. */
export async function openDirectClient(url: string): Promise<BenchCall & AsyncDisposable> {
  const pool = new Pool(url, { connections: 16 });
  const clientId = randomUUID();
  const socket = new WebSocket(`${url.replace("http", "ws")}/ws?clientId=${clientId}`, {
    perMessageDeflate: false,
  });
  await once(socket, "message");
  const waiting = new Map<string, () => void>();
  socket.on("message", (data: Buffer, isBinary: boolean) => {
    if (!isBinary) {
      const { type, data: body } = JSON.parse(data.toString());
      if (type === "executing" && body.node === null) {
        waiting.get(body.prompt_id)?.();
      }
    }
  });

  async function call(seed: bigint): Promise<number> {
    const id = randomUUID();
    const ended = Promise.withResolvers<void>();
    waiting.set(id, ended.resolve);
    const extra_data = { preview_method: "none" };
    const body = JSON.stringify({ prompt: graph(seed, id), client_id: clientId, prompt_id: id, extra_data });
    const posted = await pool.request({ method: "POST", path: "/api/prompt", body });
    await posted.body.json();
    await ended.promise;
    waiting.delete(id);
    const record = await pool.request({ method: "GET", path: `/api/history/${id}` });
    const history = (await record.body.json()) as Record<
      string,
      { outputs: Record<string, { images: ImageEntry[] }> }
    >;
    const entry = history[id]?.outputs["9"]?.images[0];
    if (entry === undefined) {
      throw new Error("no image");
    }
    const query = new URLSearchParams({ ...entry });
    const image = await pool.request({ method: "GET", path: `/api/view?${query}` });
    return (await image.body.bytes()).length;
  }

  return {
    call,
    async [Symbol.asyncDispose]() {
      socket.terminate();
      await pool.close();
    },
  };
}

interface ImageEntry {
  readonly filename: string;
  readonly subfolder: string;
  readonly type: string;
}

function graph(seed: bigint, prefix: string) {
  return {
    4: { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: "demo-sd15.safetensors" } },
    5: { class_type: "EmptyLatentImage", inputs: { width: 64, height: 64, batch_size: 1 } },
    6: { class_type: "CLIPTextEncode", inputs: { text: "a red fox", clip: ["4", 1] } },
    7: { class_type: "CLIPTextEncode", inputs: { text: "", clip: ["4", 1] } },
    3: {
      class_type: "KSampler",
      inputs: {
        model: ["4", 0],
        positive: ["6", 0],
        negative: ["7", 0],
        latent_image: ["5", 0],
        seed: Number(seed),
        steps: 4,
        cfg: 7,
        sampler_name: "euler",
        scheduler: "normal",
        denoise: 1,
      },
    },
    8: { class_type: "VAEDecode", inputs: { samples: ["3", 0], vae: ["4", 2] } },
    9: {
      class_type: "SaveImage",
      inputs: { images: ["8", 0], filename_prefix: `bench/${prefix.slice(0, 2)}/${prefix}` },
    },
  };
}
