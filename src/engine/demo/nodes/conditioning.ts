import type { NodeDefinition } from "./node.ts";

/** Nodes that turn words into what guides a sampler. */
export const conditioning: readonly NodeDefinition[] = [
  {
    classType: "CLIPTextEncode",
    displayName: "CLIP Text Encode (Prompt)",
    category: "conditioning",
    required: {
      text: { type: "STRING", options: { multiline: true, dynamicPrompts: true } },
      clip: { type: "CLIP" },
    },
    outputs: [{ type: "CONDITIONING" }],
    run: (inputs) => ({
      values: [{ kind: "CONDITIONING", text: inputs.text("text"), clip: inputs.value("clip", "CLIP") }],
    }),
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
