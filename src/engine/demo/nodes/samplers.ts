import type { InputSpec } from "./node.ts";
import type { Model } from "./value.ts";

/** Sampling methods, in ComfyUI's order. */
export const SAMPLERS: readonly string[] = [
  "euler",
  "euler_cfg_pp",
  "euler_ancestral",
  "euler_ancestral_cfg_pp",
  "heun",
  "heunpp2",
  "exp_heun_2_x0",
  "exp_heun_2_x0_sde",
  "dpm_2",
  "dpm_2_ancestral",
  "lms",
  "dpm_fast",
  "dpm_adaptive",
  "dpmpp_2s_ancestral",
  "dpmpp_2s_ancestral_cfg_pp",
  "dpmpp_sde",
  "dpmpp_sde_gpu",
  "dpmpp_2m",
  "dpmpp_2m_cfg_pp",
  "dpmpp_2m_sde",
  "dpmpp_2m_sde_gpu",
  "dpmpp_2m_sde_heun",
  "dpmpp_2m_sde_heun_gpu",
  "dpmpp_3m_sde",
  "dpmpp_3m_sde_gpu",
  "ddpm",
  "lcm",
  "ipndm",
  "ipndm_v",
  "deis",
  "res_multistep",
  "res_multistep_cfg_pp",
  "res_multistep_ancestral",
  "res_multistep_ancestral_cfg_pp",
  "gradient_estimation",
  "gradient_estimation_cfg_pp",
  "er_sde",
  "seeds_2",
  "seeds_3",
  "sa_solver",
  "sa_solver_pece",
  "ddim",
  "uni_pc",
  "uni_pc_bh2",
  "cfgpp_ud10_ab",
];

/** Noise schedules, in ComfyUI's order. */
export const SCHEDULERS: readonly string[] = [
  "simple",
  "sgm_uniform",
  "karras",
  "exponential",
  "ddim_uniform",
  "beta",
  "normal",
  "linear_quadratic",
  "kl_optimal",
];

/** An input for a seed. */
export function seedInput(): InputSpec {
  return { type: "INT", options: { default: 0, min: 0, max: 2n ** 64n - 1n, control_after_generate: true } };
}

/** An input for cfg. */
export function cfgInput(): InputSpec {
  return { type: "FLOAT", options: { default: 8, min: 0, max: 100, step: 0.1, round: 0.01 } };
}

/** How noise is spread over the steps: as the scheduler says, on a model that may have its own mind. */
export function scheduleOf(scheduler: string, { schedule }: Model): string {
  return schedule === "" ? scheduler : `${scheduler}, ${schedule}`;
}
