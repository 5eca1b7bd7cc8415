import type { ResolvedPicture, ResolvedRefiner } from "../generation.ts";
import type { Conditions, GraphBuilder, ImagePlace, Link, ModelLinks } from "./graph-builder.ts";
import type { Start } from "./start.ts";

/** The latent that was sampled for one image. */
export interface Sampled {
  readonly latent: Link;
  /** What decodes it. */
  readonly vae: Link;
  readonly samplerNodeIds: readonly string[];
}

/** A second checkpoint, loaded and told what to draw. */
export interface LoadedRefiner {
  readonly settings: ResolvedRefiner;
  readonly model: Link;
  readonly vae: Link;
  readonly conditions: Conditions;
}

/** Loads the refiner of a picture, if it has one, and encodes the prompts for it. */
export function loadRefiner(
  builder: GraphBuilder,
  { refiner, prompt, negativePrompt, widthPx, heightPx }: ResolvedPicture,
): LoadedRefiner | undefined {
  if (refiner === undefined) {
    return undefined;
  }
  const { aestheticScore } = refiner;
  const id = builder.share("CheckpointLoaderSimple", "Load refiner", { ckpt_name: refiner.model });
  const clip: Link = [id, 1];
  const encode = (text: string, title: string, score: number | undefined): Link => [
    score === undefined
      ? builder.share("CLIPTextEncode", title, { text, clip })
      : builder.share("CLIPTextEncodeSDXLRefiner", title, {
          ascore: score,
          width: widthPx,
          height: heightPx,
          text,
          clip,
        }),
    0,
  ];
  return {
    settings: refiner,
    model: [id, 0],
    vae: [id, 2],
    conditions: {
      positive: encode(prompt, "Encode prompt for refiner", aestheticScore),
      negative: encode(
        negativePrompt,
        "Encode negative prompt for refiner",
        aestheticScore === undefined ? undefined : unaestheticScore,
      ),
    },
  };
}

/** What SDXL's refiner was trained to take for ugly. */
const unaestheticScore = 2.5;

/** Samples one image, by one model or by two that follow each other. */
export function sample(
  builder: GraphBuilder,
  place: ImagePlace,
  picture: ResolvedPicture,
  seed: bigint,
  { model, vae }: ModelLinks,
  { latent, conditions }: Pick<Start, "latent" | "conditions">,
  refiner: LoadedRefiner | undefined,
): Sampled {
  const id = `${100 * place.index + 3}`;
  const common = { cfg: picture.cfg, sampler_name: picture.sampler, scheduler: picture.scheduler };
  if (refiner === undefined) {
    builder.add(id, "KSampler", `Sample image${place.label}`, {
      model,
      ...conditions,
      latent_image: latent,
      seed,
      steps: picture.steps,
      ...common,
      denoise: picture.denoise,
    });
    return { latent: [id, 0], vae, samplerNodeIds: [id] };
  }
  const { totalSteps, firstStep, switchStep } = partSteps(picture, refiner.settings.switchAt);
  builder.add(id, "KSamplerAdvanced", `Sample image${place.label}`, {
    model,
    add_noise: "enable",
    noise_seed: seed,
    steps: totalSteps,
    ...common,
    ...conditions,
    latent_image: latent,
    start_at_step: firstStep,
    end_at_step: switchStep,
    return_with_leftover_noise: "enable",
  });
  const refined = builder.addFor(place, "KSamplerAdvanced", "Refine image", {
    model: refiner.model,
    add_noise: "disable",
    noise_seed: seed,
    steps: totalSteps,
    ...common,
    ...refiner.conditions,
    latent_image: [id, 0],
    start_at_step: switchStep,
    end_at_step: 10_000,
    return_with_leftover_noise: "disable",
  });
  return { latent: [refined, 0], vae: refiner.vae, samplerNodeIds: [id, refined] };
}

/** `KSamplerAdvanced` has no `denoise`: what `KSampler` makes of it is done here, the last steps of a longer schedule. */
function partSteps(
  { steps, denoise }: ResolvedPicture,
  switchAt: number,
): { readonly totalSteps: number; readonly firstStep: number; readonly switchStep: number } {
  const totalSteps = denoise > 0 ? Math.min(10_000, Math.floor(steps / denoise)) : 10_000;
  const sampledSteps = denoise > 0 ? steps : 0;
  const firstStep = totalSteps - sampledSteps;
  return { totalSteps, firstStep, switchStep: firstStep + Math.round(sampledSteps * switchAt) };
}
