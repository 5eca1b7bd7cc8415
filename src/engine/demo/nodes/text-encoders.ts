import type { ModelCatalog } from "../models.ts";
import type { InputSpec, NodeContext, NodeDefinition, NodeInputs, NodeResult } from "./node.ts";
import type { ConditioningPart } from "./value.ts";

/** Nodes that turn words into what guides a sampler. */
export const textEncoders: readonly NodeDefinition[] = [
  {
    classType: "CLIPTextEncode",
    displayName: "CLIP Text Encode (Prompt)",
    category: "conditioning",
    required: { text: prompt(), clip: { type: "CLIP" } },
    outputs: [{ type: "CONDITIONING" }],
    run: (inputs, context) => encode(inputs, context, inputs.text("text")),
  },
  {
    classType: "CLIPTextEncodeSDXL",
    displayName: null,
    category: "advanced/conditioning",
    pythonModule: "comfy_extras.nodes_clip_sdxl",
    required: {
      clip: { type: "CLIP" },
      width: pixelCount(1024),
      height: pixelCount(1024),
      crop_w: pixelCount(0),
      crop_h: pixelCount(0),
      target_width: pixelCount(1024),
      target_height: pixelCount(1024),
      text_g: prompt(),
      text_l: prompt(),
    },
    outputs: [{ type: "CONDITIONING" }],
    run: (inputs, context) => {
      const frame = ["width", "height", "crop_w", "crop_h", "target_width", "target_height"];
      const text = together(inputs.text("text_g"), inputs.text("text_l"));
      return encode(inputs, context, text, {
        details: [frame.map((name) => inputs.integer(name)).join(" ")],
      });
    },
  },
  {
    classType: "CLIPTextEncodeSDXLRefiner",
    displayName: null,
    category: "advanced/conditioning",
    pythonModule: "comfy_extras.nodes_clip_sdxl",
    required: {
      ascore: { type: "FLOAT", options: { default: 6, min: 0, max: 1000, step: 0.01 } },
      width: pixelCount(1024),
      height: pixelCount(1024),
      text: prompt(),
      clip: { type: "CLIP" },
    },
    outputs: [{ type: "CONDITIONING" }],
    run: (inputs, context) => {
      const frame = [inputs.integer("width"), inputs.integer("height"), inputs.number("ascore")];
      return encode(inputs, context, inputs.text("text"), { details: [frame.join(" ")] });
    },
  },
  {
    classType: "CLIPTextEncodeSD3",
    displayName: null,
    category: "advanced/conditioning",
    pythonModule: "comfy_extras.nodes_sd3",
    required: {
      clip: { type: "CLIP" },
      clip_l: prompt(),
      clip_g: prompt(),
      t5xxl: prompt(),
      empty_padding: { type: ["none", "empty_prompt"], listForm: "combo" },
    },
    outputs: [{ type: "CONDITIONING" }],
    run: (inputs, context) => {
      const texts = ["clip_l", "clip_g", "t5xxl"].map((name) => inputs.text(name));
      return encode(inputs, context, together(...texts), { details: [inputs.text("empty_padding")] });
    },
  },
  {
    classType: "CLIPTextEncodeFlux",
    displayName: null,
    category: "advanced/conditioning/flux",
    pythonModule: "comfy_extras.nodes_flux",
    required: {
      clip: { type: "CLIP" },
      clip_l: prompt(),
      t5xxl: prompt(),
      guidance: { type: "FLOAT", options: { default: 3.5, min: 0, max: 100, step: 0.1 } },
    },
    outputs: [{ type: "CONDITIONING" }],
    run: (inputs, context) => {
      const text = together(inputs.text("clip_l"), inputs.text("t5xxl"));
      return encode(inputs, context, text, { guidance: inputs.number("guidance") });
    },
  },
  {
    classType: "CLIPSetLastLayer",
    displayName: "CLIP Set Last Layer",
    category: "conditioning",
    required: {
      clip: { type: "CLIP" },
      stop_at_clip_layer: { type: "INT", options: { default: -1, min: -24, max: -1, step: 1 } },
    },
    outputs: [{ type: "CLIP" }],
    run: (inputs) => ({
      values: [{ ...inputs.value("clip", "CLIP"), layer: inputs.integer("stop_at_clip_layer") }],
    }),
  },
];

function encode(
  inputs: NodeInputs,
  { models }: NodeContext,
  text: string,
  more: Partial<ConditioningPart> = {},
): NodeResult {
  const part: ConditioningPart = {
    text: withEmbeddings(text, models),
    clip: inputs.value("clip", "CLIP"),
    details: [],
    averaged: undefined,
    guidance: undefined,
    steps: { start: 0, end: 1 },
    region: undefined,
    strength: 1,
    controls: [],
    surroundings: undefined,
    ...more,
  };
  return { values: [{ kind: "CONDITIONING", parts: [part] }] };
}

/** Texts for encoders that read one each: what stands in several is read once. */
function together(...texts: readonly string[]): string {
  return [...new Set(texts)].filter((text) => text !== "").join(", ");
}

/** Puts the words that an embedding stands for in its place. As in ComfyUI, one that is not there is left out. */
function withEmbeddings(text: string, models: ModelCatalog): string {
  const known = models.list("embeddings") ?? [];
  return text.replaceAll(/embedding:([^\s,:()]+)/g, (_, name: string) => {
    const file = known.find((candidate) => candidate === name || candidate === `${name}.safetensors`);
    const words = file === undefined ? undefined : models.metadata("embeddings", file)?.words;
    return typeof words === "string" ? words : "";
  });
}

function prompt(): InputSpec {
  return { type: "STRING", options: { multiline: true, dynamicPrompts: true } };
}

function pixelCount(preset: number): InputSpec {
  return { type: "INT", options: { default: preset, min: 0, max: 16384 } };
}
