import type { ResolvedGeneration } from "./generation.ts";
import { seedOfImage } from "./generation.ts";
import type { GenerationPlan, PlannedImage } from "./generation-plan.ts";
import type { GraphNode, GraphValue } from "./graph.ts";

/**
 * Builds the text-to-image graph: ComfyUI's canonical one, with a sampler, decoder and saver of its own for each image,
 * so that every image has its own seed and arrives when it is done. `filePrefix` begins the name of every file the graph
 * saves; one that no other job has keeps ComfyUI from answering with the files of an earlier run.
 */
export function buildTextToImage(generation: ResolvedGeneration, filePrefix: string): GenerationPlan {
  const nodes: Record<string, GraphNode> = {};
  const add = (id: string, class_type: string, title: string, inputs: Record<string, GraphValue>): string => {
    nodes[id] = { class_type, inputs, _meta: { title } };
    return id;
  };

  const checkpoint = add("4", "CheckpointLoaderSimple", "Load checkpoint", { ckpt_name: generation.model });
  let model: GraphValue = [checkpoint, 0];
  let clip: GraphValue = [checkpoint, 1];
  let vae: GraphValue = [checkpoint, 2];
  for (const [i, lora] of generation.loras.entries()) {
    const loader = add(`${30 + i}`, "LoraLoader", `Apply LoRA ${i + 1}`, {
      model,
      clip,
      lora_name: lora.name,
      strength_model: lora.modelStrength,
      strength_clip: lora.clipStrength,
    });
    model = [loader, 0];
    clip = [loader, 1];
  }
  if (generation.clipSkip !== undefined) {
    clip = [
      add("20", "CLIPSetLastLayer", "Skip CLIP layers", { clip, stop_at_clip_layer: -generation.clipSkip }),
      0,
    ];
  }
  if (generation.vae !== undefined) {
    vae = [add("21", "VAELoader", "Load VAE", { vae_name: generation.vae }), 0];
  }
  const latent = add("5", "EmptyLatentImage", "Empty latent", {
    width: generation.widthPx,
    height: generation.heightPx,
    batch_size: 1,
  });
  const positive = add("6", "CLIPTextEncode", "Encode prompt", { text: generation.prompt, clip });
  const negative = add("7", "CLIPTextEncode", "Encode negative prompt", {
    text: generation.negativePrompt,
    clip,
  });

  const images = Array.from({ length: generation.imageCount }, (_, i): PlannedImage => {
    const seed = seedOfImage(generation.seed, i);
    const label = generation.imageCount === 1 ? "" : ` ${i + 1} of ${generation.imageCount}`;
    const sampler = add(`${100 * i + 3}`, "KSampler", `Sample image${label}`, {
      model,
      positive: [positive, 0],
      negative: [negative, 0],
      latent_image: [latent, 0],
      seed,
      steps: generation.steps,
      cfg: generation.cfg,
      sampler_name: generation.sampler,
      scheduler: generation.scheduler,
      denoise: generation.denoise,
    });
    const decoded = add(`${100 * i + 8}`, "VAEDecode", `Decode image${label}`, {
      samples: [sampler, 0],
      vae,
    });
    const saved = add(`${100 * i + 9}`, "SaveImage", `Save image${label}`, {
      images: [decoded, 0],
      filename_prefix: `${filePrefix}_${i}`,
    });
    return { seed, samplerNodeId: sampler, saveNodeId: saved };
  });
  return { graph: nodes, inputs: [], images, keeps: "images" };
}
