import type { WorkflowGraph } from "./graph.ts";
import type { ModelKind } from "./model-kind.ts";

/** A model that a graph names. */
export interface GraphModel {
  /** Absent for a kind that is not listed on its own. */
  readonly kind?: ModelKind;
  readonly name: string;
  readonly nodeId: string;
  /** The input that names it. */
  readonly input: string;
}

/**
 * The models that a graph names, in the order of its nodes: told by the names that inputs for them have throughout
 * ComfyUI, by the ends of their files, and in prompts by `embedding:name`.
 */
export function modelsOfGraph(graph: WorkflowGraph): readonly GraphModel[] {
  return Object.entries(graph).flatMap(([nodeId, { class_type, inputs }]) =>
    Object.entries(inputs).flatMap(([input, value]): GraphModel[] => {
      if (typeof value !== "string") {
        return [];
      }
      const kind = kindOfInput(class_type, input);
      if (kind !== undefined || modelFile.test(value)) {
        return [{ ...(kind !== undefined && { kind }), name: value, nodeId, input }];
      }
      return Array.from(value.matchAll(embedding), ([, name = ""]) => {
        return { kind: "embedding", name, nodeId, input };
      });
    }),
  );
}

function kindOfInput(classType: string, input: string): ModelKind | undefined {
  if (classType.startsWith("CLIPVision")) {
    return undefined; // names its file as text encoders do theirs
  }
  return classType === "UpscaleModelLoader" && input === "model_name" ? "upscaler" : kinds.get(input);
}

const kinds: ReadonlyMap<string, ModelKind> = new Map([
  ["ckpt_name", "checkpoint"],
  ["lora_name", "lora"],
  ["vae_name", "vae"],
  ["control_net_name", "controlnet"],
  ["unet_name", "diffusionModel"],
  ["clip_name", "textEncoder"],
  ["clip_name1", "textEncoder"],
  ["clip_name2", "textEncoder"],
  ["clip_name3", "textEncoder"],
  ["clip_name4", "textEncoder"],
]);

const modelFile = /^[^\n]{1,512}\.(safetensors|sft|ckpt|pt|pth|gguf|onnx)$/i;

/** As ComfyUI finds them in a prompt. */
const embedding = /\bembedding:([^\s,:()]+)/g;
