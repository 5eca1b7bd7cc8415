import type { Recipe } from "../picture/picture.ts";
import { createPreviewPainter } from "../picture/preview.ts";
import { hashSeed } from "../picture/random.ts";
import { painterOf } from "./latent-painter.ts";
import type { NodeContext, NodeDefinition, NodeInputs, NodeResult } from "./node.ts";
import { SAMPLERS, SCHEDULERS } from "./samplers.ts";

const SEED_MAX = 18446744073709551615n;

/** The cfg with which a recipe makes its best picture. */
const USUAL_CFG = 7;

/** Nodes that turn noise into pictures, step by step. */
export const sampling: readonly NodeDefinition[] = [
  {
    classType: "KSampler",
    displayName: "KSampler",
    category: "sampling",
    required: {
      model: { type: "MODEL" },
      seed: { type: "INT", options: { default: 0, min: 0, max: SEED_MAX, control_after_generate: true } },
      steps: { type: "INT", options: { default: 20, min: 1, max: 10000 } },
      cfg: { type: "FLOAT", options: { default: 8, min: 0, max: 100, step: 0.1, round: 0.01 } },
      sampler_name: { type: SAMPLERS },
      scheduler: { type: SCHEDULERS },
      positive: { type: "CONDITIONING" },
      negative: { type: "CONDITIONING" },
      latent_image: { type: "LATENT" },
      denoise: { type: "FLOAT", options: { default: 1, min: 0, max: 1, step: 0.01 } },
    },
    outputs: [{ type: "LATENT" }],
    run: (inputs, context) => {
      const denoise = inputs.number("denoise");
      const steps = inputs.integer("steps");
      const plan = { seed: inputs.seed("seed"), steps, denoise, from: 0, to: steps, noise: 0 };
      return sample(inputs, context, plan);
    },
  },
  {
    classType: "KSamplerAdvanced",
    displayName: "KSampler (Advanced)",
    category: "sampling",
    required: {
      model: { type: "MODEL" },
      add_noise: { type: ["enable", "disable"] },
      noise_seed: {
        type: "INT",
        options: { default: 0, min: 0, max: SEED_MAX, control_after_generate: true },
      },
      steps: { type: "INT", options: { default: 20, min: 1, max: 10000 } },
      cfg: { type: "FLOAT", options: { default: 8, min: 0, max: 100, step: 0.1, round: 0.01 } },
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
    run: (inputs, context) => sample(inputs, context, advancedPlan(inputs)),
  },
  {
    classType: "KSamplerSelect",
    displayName: "KSamplerSelect",
    category: "sampling/custom_sampling/samplers",
    pythonModule: "comfy_extras.nodes_custom_sampler",
    required: { sampler_name: { type: SAMPLERS, listForm: "combo" } },
    outputs: [{ type: "SAMPLER" }],
    run: (inputs) => ({ values: [{ kind: "SAMPLER", name: inputs.text("sampler_name") }] }),
  },
];

interface Plan {
  readonly seed: bigint;
  /** Steps of the whole schedule, of which those after `from` up to `to` are done. */
  readonly steps: number;
  readonly from: number;
  readonly to: number;
  /** Share of the picture that is made anew. */
  readonly denoise: number;
  /** Noise left at the end, 0 to 1. */
  readonly noise: number;
}

function advancedPlan(inputs: NodeInputs): Plan {
  const steps = inputs.integer("steps");
  const from = Math.min(steps, inputs.integer("start_at_step"));
  const to = Math.min(steps, Math.max(from, inputs.integer("end_at_step")));
  const { seed } = inputs.value("latent_image", "LATENT");
  // Without noise of its own, a sampler goes on with what the one before it has left.
  const earlier = inputs.text("add_noise") === "disable" ? seed : undefined;
  return {
    seed: earlier ?? inputs.seed("noise_seed"),
    steps,
    from,
    to,
    denoise: steps > 0 ? 1 - from / steps : 1,
    noise: inputs.text("return_with_leftover_noise") === "enable" ? 1 - to / steps : 0,
  };
}

async function sample(inputs: NodeInputs, context: NodeContext, plan: Plan): Promise<NodeResult> {
  const latent = inputs.value("latent_image", "LATENT");
  const count = plan.to - plan.from;
  if (count === 0 || plan.denoise === 0) {
    return { values: [latent] };
  }
  const { width, height } = latent;
  const paint = painterOf(latent, recipeOf(inputs, plan), plan.denoise);
  const previews = createPreviewPainter(
    (...size) => paint(0, ...size),
    width,
    height,
    hashSeed(plan.seed),
    context.draw,
  );
  for (let step = 1; step <= count; step++) {
    await context.step(step, count, () => previews.jpeg((plan.from + step) / plan.steps));
  }
  const canvases = [];
  for (let index = 0; index < latent.batchSize; index++) {
    canvases.push(await context.draw(paint(index, width, height)));
  }
  return { values: [{ ...latent, canvases, noise: plan.noise, seed: plan.seed }] };
}

function recipeOf(inputs: NodeInputs, plan: Plan): Recipe {
  const model = inputs.value("model", "MODEL");
  const positive = inputs.value("positive", "CONDITIONING");
  const negative = inputs.value("negative", "CONDITIONING");
  return {
    prompt: positive.text,
    negativePrompt: negative.text,
    seed: plan.seed,
    index: 0,
    steps: plan.steps,
    cfg: (inputs.number("cfg") * USUAL_CFG) / model.family.usualCfg,
    sampler: inputs.text("sampler_name"),
    scheduler: inputs.text("scheduler"),
    checkpoint: model.checkpoint,
    loras: [
      ...model.loras,
      ...positive.clip.loras.map((lora) => ({ ...lora, strength: lora.strength * 0.25 })),
    ],
    clipLayer: positive.clip.layer,
  };
}
