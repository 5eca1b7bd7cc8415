import type { NodeDefinition, NodeInputs } from "./node.ts";
import { type Sampling, sample } from "./sample.ts";
import { cfgInput, SAMPLERS, SCHEDULERS, scheduleOf, seedInput } from "./samplers.ts";

/** Nodes that turn noise into pictures, step by step. */
export const sampling: readonly NodeDefinition[] = [
  {
    classType: "KSampler",
    displayName: "KSampler",
    category: "sampling",
    required: {
      model: { type: "MODEL" },
      seed: seedInput(),
      steps: { type: "INT", options: { default: 20, min: 1, max: 10000 } },
      cfg: cfgInput(),
      sampler_name: { type: SAMPLERS },
      scheduler: { type: SCHEDULERS },
      positive: { type: "CONDITIONING" },
      negative: { type: "CONDITIONING" },
      latent_image: { type: "LATENT" },
      denoise: { type: "FLOAT", options: { default: 1, min: 0, max: 1, step: 0.01 } },
    },
    outputs: [{ type: "LATENT" }],
    run: async (inputs, context) => {
      const steps = inputs.integer("steps");
      const sampling: Sampling = {
        ...leadOf(inputs),
        seed: inputs.seed("seed"),
        addsNoise: true,
        steps,
        from: 0,
        to: steps,
        denoise: inputs.number("denoise"),
        keepsNoise: false,
      };
      return { values: [await sample(inputs.value("latent_image", "LATENT"), sampling, context)] };
    },
  },
  {
    classType: "KSamplerAdvanced",
    displayName: "KSampler (Advanced)",
    category: "sampling",
    required: {
      model: { type: "MODEL" },
      add_noise: { type: ["enable", "disable"] },
      noise_seed: seedInput(),
      steps: { type: "INT", options: { default: 20, min: 1, max: 10000 } },
      cfg: cfgInput(),
      sampler_name: { type: SAMPLERS },
      scheduler: { type: SCHEDULERS },
      positive: { type: "CONDITIONING" },
      negative: { type: "CONDITIONING" },
      latent_image: { type: "LATENT" },
      start_at_step: { type: "INT", options: { default: 0, min: 0, max: 10000 } },
      end_at_step: { type: "INT", options: { default: 10000, min: 0, max: 10000 } },
      return_with_leftover_noise: { type: ["disable", "enable"] },
    },
    outputs: [{ type: "LATENT" }],
    run: async (inputs, context) => {
      const steps = inputs.integer("steps");
      const from = Math.min(steps, inputs.integer("start_at_step"));
      const sampling: Sampling = {
        ...leadOf(inputs),
        seed: inputs.seed("noise_seed"),
        addsNoise: inputs.text("add_noise") === "enable",
        steps,
        from,
        to: Math.min(steps, Math.max(from, inputs.integer("end_at_step"))),
        denoise: 1,
        keepsNoise: inputs.text("return_with_leftover_noise") === "enable",
      };
      return { values: [await sample(inputs.value("latent_image", "LATENT"), sampling, context)] };
    },
  },
];

/** What leads a sampler, and how it samples, as both of the classes have it. */
function leadOf(
  inputs: NodeInputs,
): Pick<Sampling, "model" | "positive" | "negative" | "cfg" | "sampler" | "schedule"> {
  const model = inputs.value("model", "MODEL");
  return {
    model,
    positive: inputs.value("positive", "CONDITIONING"),
    negative: inputs.value("negative", "CONDITIONING"),
    cfg: inputs.number("cfg"),
    sampler: inputs.text("sampler_name"),
    schedule: scheduleOf(inputs.text("scheduler"), model),
  };
}
