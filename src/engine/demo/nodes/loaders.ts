import type { InputSpec, NodeDefinition, NodeInputs } from "./node.ts";

/** Nodes that load models and change them. */
export const loaders: readonly NodeDefinition[] = [
  {
    classType: "CheckpointLoaderSimple",
    displayName: "Load Checkpoint",
    category: "loaders",
    required: { ckpt_name: fileOf("checkpoints") },
    outputs: [{ type: "MODEL" }, { type: "CLIP" }, { type: "VAE" }],
    run: async (inputs, { load }) => {
      const checkpoint = inputs.text("ckpt_name");
      await load(checkpoint);
      return {
        values: [
          { kind: "MODEL", checkpoint, loras: [] },
          { kind: "CLIP", loras: [], layer: -1 },
          { kind: "VAE", name: "" },
        ],
      };
    },
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
      const lora = { name: inputs.text("lora_name"), strength: inputs.number("strength_clip") };
      return { values: [modelWithLora(inputs), { ...clip, loras: [...clip.loras, lora] }] };
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
];

function modelWithLora(inputs: NodeInputs) {
  const model = inputs.value("model", "MODEL");
  const lora = { name: inputs.text("lora_name"), strength: inputs.number("strength_model") };
  return { ...model, loras: [...model.loras, lora] };
}

function fileOf(folder: string): InputSpec {
  return { type: ({ models }) => models.list(folder) ?? [] };
}

function strength(): InputSpec {
  return { type: "FLOAT", options: { default: 1, min: -100, max: 100, step: 0.01 } };
}
