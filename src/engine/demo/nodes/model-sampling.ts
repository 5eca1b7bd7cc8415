import type { InputSpec, NodeDefinition, NodeInputs, NodeResult } from "./node.ts";

const pythonModule = "comfy_extras.nodes_model_advanced";
const category = "advanced/model";
const outputs = [{ type: "MODEL" }] as const;

/** Nodes that change how a model samples. */
export const modelSampling: readonly NodeDefinition[] = [
  {
    classType: "ModelSamplingSD3",
    displayName: "ModelSamplingSD3",
    category,
    pythonModule,
    required: { model: { type: "MODEL" }, shift: hundredths(3) },
    outputs,
    run: (inputs) => withShift(inputs, inputs.number("shift")),
  },
  {
    classType: "ModelSamplingAuraFlow",
    displayName: "ModelSamplingAuraFlow",
    category,
    pythonModule,
    required: { model: { type: "MODEL" }, shift: hundredths(1.73) },
    outputs,
    run: (inputs) => withShift(inputs, inputs.number("shift")),
  },
  {
    classType: "ModelSamplingFlux",
    displayName: "ModelSamplingFlux",
    category,
    pythonModule,
    required: {
      model: { type: "MODEL" },
      max_shift: hundredths(1.15),
      base_shift: hundredths(0.5),
      width: pixelCount(),
      height: pixelCount(),
    },
    outputs,
    run: (inputs) => {
      const [least, most] = [inputs.number("base_shift"), inputs.number("max_shift")];
      const patches = (inputs.integer("width") * inputs.integer("height")) / 256;
      // From the least at 256 patches of 16 × 16 pixels to the most at 4096.
      return withShift(inputs, least + ((most - least) * (patches - 256)) / (4096 - 256));
    },
  },
  {
    classType: "RescaleCFG",
    displayName: "RescaleCFG",
    category,
    pythonModule,
    required: {
      model: { type: "MODEL" },
      multiplier: { type: "FLOAT", options: { default: 0.7, min: 0, max: 1, step: 0.01 } },
    },
    outputs,
    run: (inputs) => ({
      values: [{ ...inputs.value("model", "MODEL"), rescaled: inputs.number("multiplier") }],
    }),
  },
];

function withShift(inputs: NodeInputs, shift: number): NodeResult {
  return { values: [{ ...inputs.value("model", "MODEL"), schedule: `shift ${shift.toFixed(4)}` }] };
}

function hundredths(preset: number): InputSpec {
  return { type: "FLOAT", options: { default: preset, min: 0, max: 100, step: 0.01 } };
}

function pixelCount(): InputSpec {
  return { type: "INT", options: { default: 1024, min: 16, max: 16384, step: 8 } };
}
