import type { InputSpec, NodeDefinition, NodeInputs, NodeResult } from "./node.ts";
import type { Conditioning, ConditioningPart } from "./value.ts";

/** Nodes that change encoded texts, and put several together. */
export const conditioning: readonly NodeDefinition[] = [
  {
    classType: "ConditioningCombine",
    displayName: "Conditioning (Combine)",
    category: "conditioning",
    required: { conditioning_1: { type: "CONDITIONING" }, conditioning_2: { type: "CONDITIONING" } },
    outputs: [{ type: "CONDITIONING" }],
    run: (inputs) => {
      const first = inputs.value("conditioning_1", "CONDITIONING");
      const second = inputs.value("conditioning_2", "CONDITIONING");
      return { values: [{ kind: "CONDITIONING", parts: [...first.parts, ...second.parts] }] };
    },
  },
  {
    classType: "ConditioningConcat",
    displayName: "Conditioning (Concat)",
    category: "conditioning",
    required: { conditioning_to: { type: "CONDITIONING" }, conditioning_from: { type: "CONDITIONING" } },
    outputs: [{ type: "CONDITIONING" }],
    run: (inputs) => {
      const added = firstText(inputs);
      return changed(inputs, "conditioning_to", ({ text }) => ({ text: `${text}, ${added}` }));
    },
  },
  {
    classType: "ConditioningAverage",
    displayName: "ConditioningAverage",
    category: "conditioning",
    required: {
      conditioning_to: { type: "CONDITIONING" },
      conditioning_from: { type: "CONDITIONING" },
      conditioning_to_strength: share(1, 0.01),
    },
    outputs: [{ type: "CONDITIONING" }],
    run: (inputs) => {
      const averaged = { text: firstText(inputs), share: 1 - inputs.number("conditioning_to_strength") };
      return changed(inputs, "conditioning_to", () => ({ averaged }));
    },
  },
  {
    classType: "ConditioningZeroOut",
    displayName: "ConditioningZeroOut",
    category: "advanced/conditioning",
    required: { conditioning: { type: "CONDITIONING" } },
    outputs: [{ type: "CONDITIONING" }],
    run: (inputs) => changed(inputs, "conditioning", () => ({ text: "", averaged: undefined })),
  },
  {
    classType: "ConditioningSetTimestepRange",
    displayName: "ConditioningSetTimestepRange",
    category: "advanced/conditioning",
    required: { conditioning: { type: "CONDITIONING" }, start: share(0, 0.001), end: share(1, 0.001) },
    outputs: [{ type: "CONDITIONING" }],
    run: (inputs) => {
      const steps = { start: inputs.number("start"), end: inputs.number("end") };
      return changed(inputs, "conditioning", () => ({ steps }));
    },
  },
  {
    classType: "ConditioningSetMask",
    displayName: "Conditioning (Set Mask)",
    category: "conditioning",
    required: {
      conditioning: { type: "CONDITIONING" },
      mask: { type: "MASK" },
      strength: { type: "FLOAT", options: { default: 1, min: 0, max: 10, step: 0.01 } },
      set_cond_area: { type: ["default", "mask bounds"] },
    },
    outputs: [{ type: "CONDITIONING" }],
    run: (inputs) => {
      const [region] = inputs.value("mask", "MASK").planes;
      const strength = inputs.number("strength");
      return changed(inputs, "conditioning", () => ({ region, strength }));
    },
  },
  {
    classType: "FluxGuidance",
    displayName: null,
    category: "advanced/conditioning/flux",
    pythonModule: "comfy_extras.nodes_flux",
    required: {
      conditioning: { type: "CONDITIONING" },
      guidance: { type: "FLOAT", options: { default: 3.5, min: 0, max: 100, step: 0.1 } },
    },
    outputs: [{ type: "CONDITIONING" }],
    run: (inputs) => {
      const guidance = inputs.number("guidance");
      return changed(inputs, "conditioning", () => ({ guidance }));
    },
  },
];

/** The same encoded texts, each with something changed. */
export function withEach(
  { parts }: Conditioning,
  change: (part: ConditioningPart) => Partial<ConditioningPart>,
): Conditioning {
  return { kind: "CONDITIONING", parts: parts.map((part) => ({ ...part, ...change(part) })) };
}

function changed(
  inputs: NodeInputs,
  name: string,
  change: (part: ConditioningPart) => Partial<ConditioningPart>,
): NodeResult {
  return { values: [withEach(inputs.value(name, "CONDITIONING"), change)] };
}

/** As in ComfyUI, only the first of several texts is added to others. */
function firstText(inputs: NodeInputs): string {
  return inputs.value("conditioning_from", "CONDITIONING").parts[0]?.text ?? "";
}

function share(preset: number, step: number): InputSpec {
  return { type: "FLOAT", options: { default: preset, min: 0, max: 1, step } };
}
