import type { NodeContext, NodeDefinition, NodeInputs, NodeResult } from "./node.ts";
import { type Sampling, sample } from "./sample.ts";
import { cfgInput, SAMPLERS, SCHEDULERS, scheduleOf, seedInput } from "./samplers.ts";

const pythonModule = "comfy_extras.nodes_custom_sampler";

const SAMPLED = [
  { type: "LATENT", name: "output" },
  { type: "LATENT", name: "denoised_output" },
] as const;

/** Nodes that each do a part of what a sampler does, and samplers that are put together from them. */
export const customSampling: readonly NodeDefinition[] = [
  {
    classType: "KSamplerSelect",
    displayName: "KSamplerSelect",
    category: "sampling/custom_sampling/samplers",
    pythonModule,
    required: { sampler_name: { type: SAMPLERS, listForm: "combo" } },
    outputs: [{ type: "SAMPLER" }],
    run: (inputs) => ({ values: [{ kind: "SAMPLER", name: inputs.text("sampler_name") }] }),
  },
  {
    classType: "BasicScheduler",
    displayName: "BasicScheduler",
    category: "sampling/custom_sampling/schedulers",
    pythonModule,
    required: {
      model: { type: "MODEL" },
      scheduler: { type: SCHEDULERS },
      steps: { type: "INT", options: { default: 20, min: 1, max: 10000 } },
      denoise: { type: "FLOAT", options: { default: 1, min: 0, max: 1, step: 0.01 } },
    },
    outputs: [{ type: "SIGMAS" }],
    run: (inputs) => {
      const schedule = scheduleOf(inputs.text("scheduler"), inputs.value("model", "MODEL"));
      const [steps, denoise] = [inputs.integer("steps"), inputs.number("denoise")];
      return { values: [{ kind: "SIGMAS", schedule, steps, from: 0, to: denoise > 0 ? steps : 0, denoise }] };
    },
  },
  {
    classType: "Flux2Scheduler",
    displayName: null,
    category: "sampling/custom_sampling/schedulers",
    pythonModule: "comfy_extras.nodes_flux",
    required: {
      steps: { type: "INT", options: { default: 20, min: 1, max: 4096 } },
      width: { type: "INT", options: { default: 1024, min: 16, max: 16384, step: 1 } },
      height: { type: "INT", options: { default: 1024, min: 16, max: 16384, step: 1 } },
    },
    outputs: [{ type: "SIGMAS" }],
    run: (inputs) => {
      const steps = inputs.integer("steps");
      const patches = Math.round((inputs.integer("width") * inputs.integer("height")) / 256);
      const schedule = `flux2 for ${patches} patches`;
      return { values: [{ kind: "SIGMAS", schedule, steps, from: 0, to: steps, denoise: 1 }] };
    },
  },
  {
    classType: "SplitSigmas",
    displayName: "SplitSigmas",
    category: "sampling/custom_sampling/sigmas",
    pythonModule,
    required: {
      sigmas: { type: "SIGMAS" },
      step: { type: "INT", options: { default: 0, min: 0, max: 10000 } },
    },
    outputs: [
      { type: "SIGMAS", name: "high_sigmas" },
      { type: "SIGMAS", name: "low_sigmas" },
    ],
    run: (inputs) => {
      const sigmas = inputs.value("sigmas", "SIGMAS");
      const at = Math.min(sigmas.to, sigmas.from + inputs.integer("step"));
      return {
        values: [
          { ...sigmas, to: at },
          { ...sigmas, from: at },
        ],
      };
    },
  },
  {
    classType: "RandomNoise",
    displayName: "RandomNoise",
    category: "sampling/custom_sampling/noise",
    pythonModule,
    required: { noise_seed: seedInput() },
    outputs: [{ type: "NOISE" }],
    run: (inputs) => ({ values: [{ kind: "NOISE", seed: inputs.seed("noise_seed") }] }),
  },
  {
    classType: "DisableNoise",
    displayName: "DisableNoise",
    category: "sampling/custom_sampling/noise",
    pythonModule,
    required: {},
    outputs: [{ type: "NOISE" }],
    run: () => ({ values: [{ kind: "NOISE", seed: undefined }] }),
  },
  {
    classType: "BasicGuider",
    displayName: "BasicGuider",
    category: "sampling/custom_sampling/guiders",
    pythonModule,
    required: { model: { type: "MODEL" }, conditioning: { type: "CONDITIONING" } },
    outputs: [{ type: "GUIDER" }],
    run: (inputs) => {
      const positive = inputs.value("conditioning", "CONDITIONING");
      const model = inputs.value("model", "MODEL");
      return { values: [{ kind: "GUIDER", model, positive, negative: undefined, cfg: 1 }] };
    },
  },
  {
    classType: "CFGGuider",
    displayName: "CFGGuider",
    category: "sampling/custom_sampling/guiders",
    pythonModule,
    required: {
      model: { type: "MODEL" },
      positive: { type: "CONDITIONING" },
      negative: { type: "CONDITIONING" },
      cfg: cfgInput(),
    },
    outputs: [{ type: "GUIDER" }],
    run: (inputs) => ({ values: [{ kind: "GUIDER", ...guiderOf(inputs) }] }),
  },
  {
    classType: "SamplerCustom",
    displayName: "SamplerCustom",
    category: "sampling/custom_sampling",
    pythonModule,
    required: {
      model: { type: "MODEL" },
      add_noise: { type: "BOOLEAN", options: { default: true } },
      noise_seed: seedInput(),
      cfg: cfgInput(),
      positive: { type: "CONDITIONING" },
      negative: { type: "CONDITIONING" },
      sampler: { type: "SAMPLER" },
      sigmas: { type: "SIGMAS" },
      latent_image: { type: "LATENT" },
    },
    outputs: SAMPLED,
    run: (inputs, context) => {
      const noise = { seed: inputs.seed("noise_seed"), addsNoise: inputs.flag("add_noise") };
      return sampleInParts(inputs, { ...guiderOf(inputs), ...noise }, context);
    },
  },
  {
    classType: "SamplerCustomAdvanced",
    displayName: "SamplerCustomAdvanced",
    category: "sampling/custom_sampling",
    pythonModule,
    required: {
      noise: { type: "NOISE" },
      guider: { type: "GUIDER" },
      sampler: { type: "SAMPLER" },
      sigmas: { type: "SIGMAS" },
      latent_image: { type: "LATENT" },
    },
    outputs: SAMPLED,
    run: (inputs, context) => {
      const { seed } = inputs.value("noise", "NOISE");
      const noise = { seed: seed ?? 0n, addsNoise: seed !== undefined };
      return sampleInParts(inputs, { ...inputs.value("guider", "GUIDER"), ...noise }, context);
    },
  },
];

type GuiderParts = Pick<Sampling, "model" | "positive" | "negative" | "cfg">;

function guiderOf(inputs: NodeInputs): GuiderParts {
  return {
    model: inputs.value("model", "MODEL"),
    positive: inputs.value("positive", "CONDITIONING"),
    negative: inputs.value("negative", "CONDITIONING"),
    cfg: inputs.number("cfg"),
  };
}

async function sampleInParts(
  inputs: NodeInputs,
  parts: GuiderParts & Pick<Sampling, "seed" | "addsNoise">,
  context: NodeContext,
): Promise<NodeResult> {
  const { model, positive, negative, cfg, seed, addsNoise } = parts;
  const { schedule, steps, from, to, denoise } = inputs.value("sigmas", "SIGMAS");
  const sampling: Sampling = {
    ...{ model, positive, negative, cfg, seed, addsNoise, schedule, steps, from, to, denoise },
    sampler: inputs.value("sampler", "SAMPLER").name,
    keepsNoise: true,
  };
  const output = await sample(inputs.value("latent_image", "LATENT"), sampling, context);
  return { values: [output, { ...output, noise: 0 }] };
}
