import { fileOf, loadModel } from "./loaders.ts";
import type { InputSpec, NodeDefinition, NodeInputs, NodeResult } from "./node.ts";

const DEVICE = { device: { type: ["default", "cpu"], options: { advanced: true } } } as const;

/** Nodes that load the parts of models that come in several files. */
export const splitLoaders: readonly NodeDefinition[] = [
  {
    classType: "UNETLoader",
    displayName: "Load Diffusion Model",
    category: "advanced/loaders",
    required: {
      unet_name: fileOf("diffusion_models"),
      weight_dtype: { type: ["default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2"] },
    },
    outputs: [{ type: "MODEL" }],
    run: async (inputs, context) => ({
      values: [await loadModel(context, "diffusion_models", inputs.text("unet_name"))],
    }),
  },
  {
    classType: "CLIPLoader",
    displayName: "Load CLIP",
    category: "advanced/loaders",
    required: {
      clip_name: fileOf("text_encoders"),
      type: {
        type: [
          "stable_diffusion",
          "stable_cascade",
          "sd3",
          "stable_audio",
          "mochi",
          "ltxv",
          "pixart",
          "cosmos",
          "lumina2",
          "wan",
          "hidream",
          "chroma",
          "ace",
          "omnigen2",
          "qwen_image",
          "hunyuan_image",
          "flux2",
          "ovis",
        ],
      },
    },
    optional: DEVICE,
    outputs: [{ type: "CLIP" }],
    run: (inputs) => textEncoders(inputs, "clip_name"),
  },
  {
    classType: "DualCLIPLoader",
    displayName: "DualCLIPLoader",
    category: "advanced/loaders",
    required: {
      clip_name1: fileOf("text_encoders"),
      clip_name2: fileOf("text_encoders"),
      type: { type: ["sdxl", "sd3", "flux", "hunyuan_video", "hidream", "hunyuan_image"] },
    },
    optional: DEVICE,
    outputs: [{ type: "CLIP" }],
    run: (inputs) => textEncoders(inputs, "clip_name1", "clip_name2"),
  },
  {
    classType: "TripleCLIPLoader",
    displayName: null,
    category: "advanced/loaders",
    pythonModule: "comfy_extras.nodes_sd3",
    required: { clip_name1: encoder(), clip_name2: encoder(), clip_name3: encoder() },
    outputs: [{ type: "CLIP" }],
    run: (inputs) => textEncoders(inputs, "clip_name1", "clip_name2", "clip_name3"),
  },
  {
    classType: "QuadrupleCLIPLoader",
    displayName: null,
    category: "advanced/loaders",
    pythonModule: "comfy_extras.nodes_hidream",
    required: {
      clip_name1: encoder(),
      clip_name2: encoder(),
      clip_name3: encoder(),
      clip_name4: encoder(),
    },
    outputs: [{ type: "CLIP" }],
    run: (inputs) => textEncoders(inputs, "clip_name1", "clip_name2", "clip_name3", "clip_name4"),
  },
];

function textEncoders(inputs: NodeInputs, ...names: readonly string[]): NodeResult {
  const encoders = names.map((name) => inputs.text(name));
  return { values: [{ kind: "CLIP", encoders, loras: [], layer: -1 }] };
}

function encoder(): InputSpec {
  return { ...fileOf("text_encoders"), listForm: "combo" };
}
