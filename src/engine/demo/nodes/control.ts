import { findOutlines } from "../picture/canny.ts";
import { type Hint, readHint } from "../picture/trace.ts";
import { PythonError, pythonFloat } from "../python.ts";
import { withEach } from "./conditioning.ts";
import type { InputSpec, NodeContext, NodeDefinition, NodeInputs, NodeResult } from "./node.ts";
import type { Conditioning, Control } from "./value.ts";

const STRENGTH = { type: "FLOAT", options: { default: 1, min: 0, max: 10, step: 0.01 } } as const;

/** Nodes that make pictures follow others. */
export const control: readonly NodeDefinition[] = [
  {
    classType: "ControlNetApply",
    displayName: "Apply ControlNet (OLD)",
    category: "conditioning/controlnet",
    isDeprecated: true,
    required: {
      conditioning: { type: "CONDITIONING" },
      control_net: { type: "CONTROL_NET" },
      image: { type: "IMAGE" },
      strength: STRENGTH,
    },
    outputs: [{ type: "CONDITIONING" }],
    run: async (inputs, context) => {
      const applied = await controlOf(inputs, context, { start: 0, end: 1 });
      return { values: [withControl(inputs.value("conditioning", "CONDITIONING"), applied)] };
    },
  },
  {
    classType: "ControlNetApplyAdvanced",
    displayName: "Apply ControlNet",
    category: "conditioning/controlnet",
    required: {
      positive: { type: "CONDITIONING" },
      negative: { type: "CONDITIONING" },
      control_net: { type: "CONTROL_NET" },
      image: { type: "IMAGE" },
      strength: STRENGTH,
      start_percent: { type: "FLOAT", options: { default: 0, min: 0, max: 1, step: 0.001 } },
      end_percent: { type: "FLOAT", options: { default: 1, min: 0, max: 1, step: 0.001 } },
    },
    optional: { vae: { type: "VAE" } },
    outputs: [
      { type: "CONDITIONING", name: "positive" },
      { type: "CONDITIONING", name: "negative" },
    ],
    run: applyAdvanced,
  },
  {
    classType: "Canny",
    displayName: null,
    category: "image/preprocessors",
    pythonModule: "comfy_extras.nodes_canny",
    required: { image: { type: "IMAGE" }, low_threshold: threshold(0.4), high_threshold: threshold(0.8) },
    outputs: [{ type: "IMAGE" }],
    run: async (inputs, { draw }) => {
      const [low, high] = [inputs.number("low_threshold"), inputs.number("high_threshold")];
      if (low > high) {
        const message = `Invalid input thresholds. low_threshold should be smaller than or equal to the high_threshold. Got: ${pythonFloat(low)}>${pythonFloat(high)}`;
        throw new PythonError("kornia.core.exceptions.BaseError", message);
      }
      const images = [];
      for (const image of inputs.value("image", "IMAGE").images) {
        images.push(await draw(findOutlines(image, low, high)));
      }
      return { values: [{ kind: "IMAGE", images }] };
    },
  },
];

function threshold(preset: number): InputSpec {
  return { type: "FLOAT", options: { default: preset, min: 0.01, max: 0.99, step: 0.01 } };
}

async function applyAdvanced(inputs: NodeInputs, context: NodeContext): Promise<NodeResult> {
  const applied = await controlOf(inputs, context, {
    start: inputs.number("start_percent"),
    end: inputs.number("end_percent"),
  });
  return {
    values: [
      withControl(inputs.value("positive", "CONDITIONING"), applied),
      withControl(inputs.value("negative", "CONDITIONING"), applied),
    ],
  };
}

async function controlOf(
  inputs: NodeInputs,
  { draw }: NodeContext,
  steps: Control["steps"],
): Promise<Control> {
  const { reads } = inputs.value("control_net", "CONTROL_NET");
  const { images } = inputs.value("image", "IMAGE");
  const hints: Hint[] = [];
  for (const image of images) {
    hints.push(await draw(readHint(image, reads)));
  }
  return { hints, strength: inputs.number("strength"), steps };
}

function withControl(conditioning: Conditioning, control: Control): Conditioning {
  return control.strength === 0
    ? conditioning
    : withEach(conditioning, ({ controls }) => ({ controls: [...controls, control] }));
}
