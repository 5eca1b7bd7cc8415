import { familyOf } from "../model-family.ts";
import type { LoraUse } from "../picture/picture.ts";
import type { HintReading } from "../picture/trace.ts";
import type { InputSpec, NodeContext, NodeDefinition, NodeInputs } from "./node.ts";
import type { Model } from "./value.ts";

/** Nodes that load models and change them. */
export const loaders: readonly NodeDefinition[] = [
  {
    classType: "CheckpointLoaderSimple",
    displayName: "Load Checkpoint",
    category: "loaders",
    required: { ckpt_name: fileOf("checkpoints") },
    outputs: [{ type: "MODEL" }, { type: "CLIP" }, { type: "VAE" }],
    run: async (inputs, context) => ({
      values: [
        await loadModel(context, "checkpoints", inputs.text("ckpt_name")),
        { kind: "CLIP", encoders: [], loras: [], layer: -1 },
        { kind: "VAE", name: "" },
      ],
    }),
  },
  {
    classType: "VAELoader",
    displayName: "Load VAE",
    category: "loaders",
    required: { vae_name: fileOf("vae") },
    outputs: [{ type: "VAE" }],
    run: (inputs) => ({ values: [{ kind: "VAE", name: inputs.text("vae_name") }] }),
  },
  {
    classType: "LoraLoader",
    displayName: "Load LoRA",
    category: "loaders",
    required: {
      model: { type: "MODEL" },
      clip: { type: "CLIP" },
      lora_name: fileOf("loras"),
      strength_model: strength(),
      strength_clip: strength(),
    },
    outputs: [{ type: "MODEL" }, { type: "CLIP" }],
    run: (inputs) => {
      const clip = inputs.value("clip", "CLIP");
      const loras = withLora(clip.loras, inputs, "strength_clip");
      return { values: [modelWithLora(inputs), { ...clip, loras }] };
    },
  },
  {
    classType: "LoraLoaderModelOnly",
    displayName: "LoraLoaderModelOnly",
    category: "loaders",
    required: { model: { type: "MODEL" }, lora_name: fileOf("loras"), strength_model: strength() },
    outputs: [{ type: "MODEL" }],
    run: (inputs) => ({ values: [modelWithLora(inputs)] }),
  },
  {
    classType: "ControlNetLoader",
    displayName: "Load ControlNet Model",
    category: "loaders",
    required: { control_net_name: fileOf("controlnet") },
    outputs: [{ type: "CONTROL_NET" }],
    run: (inputs) => ({
      values: [{ kind: "CONTROL_NET", reads: readingOf(inputs.text("control_net_name")) }],
    }),
  },
  {
    classType: "SetUnionControlNetType",
    displayName: "SetUnionControlNetType",
    category: "conditioning/controlnet",
    pythonModule: "comfy_extras.nodes_controlnet",
    required: {
      control_net: { type: "CONTROL_NET" },
      type: {
        type: [
          "auto",
          "openpose",
          "depth",
          "hed/pidi/scribble/ted",
          "canny/lineart/anime_lineart/mlsd",
          "normal",
          "segment",
          "tile",
          "repaint",
        ],
      },
    },
    outputs: [{ type: "CONTROL_NET" }],
    run: (inputs) => {
      const net = inputs.value("control_net", "CONTROL_NET");
      const type = inputs.text("type");
      return { values: [type === "auto" ? net : { ...net, reads: readingOf(type) }] };
    },
  },
  {
    classType: "UpscaleModelLoader",
    displayName: "Load Upscale Model",
    category: "loaders",
    pythonModule: "comfy_extras.nodes_upscale_model",
    required: { model_name: { ...fileOf("upscale_models"), listForm: "combo" } },
    outputs: [{ type: "UPSCALE_MODEL" }],
    run: (inputs, { models }) => {
      const { scale } = models.metadata("upscale_models", inputs.text("model_name")) ?? {};
      return { values: [{ kind: "UPSCALE_MODEL", scale: Number(scale) }] };
    },
  },
];

/** A choice of the files in a folder. */
export function fileOf(folder: string): InputSpec {
  return { type: ({ models }) => models.list(folder) ?? [] };
}

/** Loads a diffusion model, as it is when nothing has been put on it. */
export async function loadModel({ load, models }: NodeContext, folder: string, name: string): Promise<Model> {
  await load(name);
  const architecture = models.metadata(folder, name)?.["modelspec.architecture"];
  const family = familyOf(typeof architecture === "string" ? architecture : "");
  return { kind: "MODEL", checkpoint: name, family, loras: [], schedule: "", rescaled: 0 };
}

function modelWithLora(inputs: NodeInputs): Model {
  const model = inputs.value("model", "MODEL");
  return { ...model, loras: withLora(model.loras, inputs, "strength_model") };
}

/** A LoRA of no strength leaves things as they are. */
function withLora(loras: readonly LoraUse[], inputs: NodeInputs, strengthInput: string): readonly LoraUse[] {
  const lora = { name: inputs.text("lora_name"), strength: inputs.number(strengthInput) };
  return lora.strength === 0 ? loras : [...loras, lora];
}

function strength(): InputSpec {
  return { type: "FLOAT", options: { default: 1, min: -100, max: 100, step: 0.01 } };
}

/** What a ControlNet looks for in a hint, by its name or by the type that one of many types is set to. */
function readingOf(name: string): HintReading {
  return name.includes("depth") ? "depth" : name.includes("tile") ? "colours" : "edges";
}
