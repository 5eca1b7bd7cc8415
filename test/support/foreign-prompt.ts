import { randomUUID } from "node:crypto";
import { z } from "zod";
import { waitUntil } from "./wait-until.ts";

/** A prompt that somebody else has at the same ComfyUI server. */
export interface ForeignPrompt {
  readonly id: string;
  /** Waits until it has ended, and returns how: `success` or `error`. Its record must still be there. */
  ended(): Promise<string>;
}

/** Submits a prompt of `steps` sampling steps past our service, straight to the server at `engineUrl`. */
export async function submitForeignPrompt(engineUrl: string, steps: number): Promise<ForeignPrompt> {
  const id = randomUUID();
  const response = await fetch(`${engineUrl}/prompt`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt: graphOf(steps, id), prompt_id: id, client_id: randomUUID() }),
  });
  if (!response.ok) {
    throw new Error(`the server refuses the prompt: ${await response.text()}`);
  }
  const statusOf = async () => {
    const history = historySchema.parse(await (await fetch(`${engineUrl}/history/${id}`)).json());
    return history[id]?.status.status_str;
  };
  return {
    id,
    async ended() {
      await waitUntil(async () => (await statusOf()) !== undefined, "the foreign prompt has a record");
      return (await statusOf()) ?? "";
    },
  };
}

/** Ids of what a ComfyUI server runs and of what waits there. */
export async function queueOf(
  engineUrl: string,
): Promise<{ readonly running: string[]; readonly pending: string[] }> {
  const { queue_running, queue_pending } = queueSchema.parse(
    await (await fetch(`${engineUrl}/queue`)).json(),
  );
  return { running: queue_running.map(([, id]) => id), pending: queue_pending.map(([, id]) => id) };
}

const historySchema = z.record(z.string(), z.object({ status: z.object({ status_str: z.string() }) }));

const queueItem = z.tuple([z.number(), z.string()]).rest(z.unknown());
const queueSchema = z.object({ queue_running: z.array(queueItem), queue_pending: z.array(queueItem) });

function graphOf(steps: number, prefix: string) {
  const node = (class_type: string, inputs: object) => ({ class_type, inputs });
  return {
    "1": node("CheckpointLoaderSimple", { ckpt_name: "demo-sd15.safetensors" }),
    "2": node("CLIPTextEncode", { text: "a stranger", clip: ["1", 1] }),
    "3": node("EmptyLatentImage", { width: 64, height: 64, batch_size: 1 }),
    "4": node("KSampler", {
      model: ["1", 0],
      positive: ["2", 0],
      negative: ["2", 0],
      latent_image: ["3", 0],
      seed: 1,
      steps,
      cfg: 7,
      sampler_name: "euler",
      scheduler: "normal",
      denoise: 1,
    }),
    "5": node("VAEDecode", { samples: ["4", 0], vae: ["1", 2] }),
    "6": node("SaveImage", { images: ["5", 0], filename_prefix: prefix }),
  };
}
