import type { ResolvedPicture, ResolvedTask } from "./generation.ts";
import type { WorkflowGraph } from "./graph.ts";
import { hashGraph } from "./graph-hash.ts";
import type { ImageInfo } from "./image.ts";

/**
 * Says how an image was made, in the form that tools around Stable Diffusion write and read: the prompt, the negative
 * prompt, and a line of names and values. Of a workflow that is not ours it names the hash of the graph, by which it is
 * found again, and nothing that its caller may have written into it.
 */
export function imageParameters(
  task: ResolvedTask,
  graph: WorkflowGraph,
  { seed, widthPx, heightPx }: Pick<ImageInfo, "seed" | "widthPx" | "heightPx">,
): string {
  const picture = task.type === "picture" ? task : undefined;
  const values: Values = [
    ...(picture ? samplingOf(picture) : []),
    ["Seed", seed],
    ["Size", `${widthPx}x${heightPx}`],
    ...(picture ? modelsOf(picture) : []),
    ["Mode", modeOf(task)],
    ["Template", task.type === "template" ? `${task.name} ${task.version}` : undefined],
    ["Workflow hash", picture ? undefined : hashGraph(graph)],
    ["Version", "ComfyRPC"],
  ];
  const line = values
    .flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${quoted(String(value))}`]))
    .join(", ");
  return [
    ...(picture ? [picture.prompt] : []),
    ...(picture?.negativePrompt ? [`Negative prompt: ${picture.negativePrompt}`] : []),
    line,
  ].join("\n");
}

type Values = readonly (readonly [name: string, value: string | number | bigint | undefined])[];

function samplingOf({ steps, sampler, scheduler, cfg, denoise }: ResolvedPicture): Values {
  return [
    ["Steps", steps],
    ["Sampler", sampler],
    ["Schedule type", scheduler],
    ["CFG scale", cfg],
    ["Denoising strength", denoise === 1 ? undefined : denoise],
  ];
}

function modelsOf(picture: ResolvedPicture): Values {
  const { modelFiles, loras, controlNets, hires, refiner } = picture;
  return [
    ["Model", modelName(modelFiles?.diffusionModel ?? picture.model)],
    ["VAE", picture.vae && modelName(picture.vae)],
    ["Clip skip", picture.clipSkip],
    ["Distilled CFG Scale", modelFiles?.guidance],
    ["LoRAs", listed(loras.map(({ name, modelStrength }) => `${modelName(name)}: ${modelStrength}`))],
    ["ControlNets", listed(controlNets.map(({ model, strength }) => `${modelName(model)}: ${strength}`))],
    ["Hires upscale", hires?.scale],
    ["Hires steps", hires?.steps],
    ["Refiner", refiner && modelName(refiner.model)],
    ["Refiner switch at", refiner?.switchAt],
  ];
}

function modeOf(task: ResolvedTask): string | undefined {
  switch (task.type) {
    case "picture":
      return task.start && modes[task.start.type];
    case "upscale":
      return "upscale";
    default:
      return undefined;
  }
}

const modes = { imageToImage: "img2img", inpaint: "inpaint", outpaint: "outpaint" } as const;

function listed(items: readonly string[]): string | undefined {
  return items.length > 0 ? items.join(", ") : undefined;
}

/** Without folders and extension, as those tools name models. */
function modelName(file: string): string {
  return file.replace(/^.*[/\\]/, "").replace(/\.(safetensors|ckpt|pt|pth|sft|gguf)$/i, "");
}

/** A value that could be taken for several is quoted as JSON is. */
function quoted(value: string): string {
  return /[,:\n"]/.test(value) ? JSON.stringify(value) : value;
}
