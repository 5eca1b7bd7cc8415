import { createPreviewPainter } from "../picture/preview.ts";
import { hashSeed } from "../picture/random.ts";
import { guidanceOf } from "./guidance.ts";
import { painterOf } from "./latent-painter.ts";
import type { NodeContext } from "./node.ts";
import type { Guider, Latent, StepRange } from "./value.ts";

/** What a sampler is to do. */
export interface Sampling extends Pick<Guider, "model" | "positive" | "negative" | "cfg"> {
  readonly sampler: string;
  readonly schedule: string;
  readonly seed: bigint;
  /** Whether it adds noise; if not, it goes on with what the sampler before it has left. */
  readonly addsNoise: boolean;
  /** Steps of the whole schedule, of which those after `from` up to `to` are done. */
  readonly steps: number;
  readonly from: number;
  readonly to: number;
  /** How much noise the whole schedule begins with, 0 to 1. */
  readonly denoise: number;
  /** Whether noise for the steps after `to` stays. */
  readonly keepsNoise: boolean;
}

/**
 * Samples: takes its time for each step, then paints. A sampler that adds no noise goes on with the picture that is
 * there: it paints with the same seed, and as much as there is noise for. Where it is another model that goes on, the
 * composition stays that of the first one, and is refined.
 */
export async function sample(latent: Latent, sampling: Sampling, context: NodeContext): Promise<Latent> {
  const { steps, from, to } = sampling;
  const range = rangeOf(sampling);
  if (to === from || range.start === 1) {
    return latent;
  }
  const seed = (sampling.addsNoise ? undefined : latent.seed) ?? sampling.seed;
  const recipe = recipeOf(latent, sampling, seed, range);
  const paint = painterOf(latent, recipe, replacedOf(latent, sampling, range));
  const { width, height } = latent;
  const previews = createPreviewPainter(
    (...size) => paint(0, ...size),
    width,
    height,
    hashSeed(seed),
    context.draw,
  );
  for (let step = 1; step <= to - from; step++) {
    await context.step(step, to - from, () => previews.jpeg((from + step) / steps));
  }
  const canvases = [];
  for (let index = 0; index < latent.batchSize; index++) {
    canvases.push(await context.draw(paint(index, width, height)));
  }
  // What goes beyond the level that the sampler expects is not removed.
  const beyond = Math.max(0, latent.noise - (1 - range.start));
  const noise = Math.min(1, beyond + (sampling.keepsNoise ? 1 - range.end : 0));
  return { ...latent, canvases, noise, seed, checkpoint: recipe.checkpoint };
}

/** The part of the way from noise to picture that is done. */
function rangeOf({ steps, from, to, denoise }: Sampling): StepRange {
  const at = (step: number) => 1 - denoise * (1 - (steps > 0 ? step / steps : 1));
  return { start: at(from), end: at(to) };
}

function recipeOf(latent: Latent, sampling: Sampling, seed: bigint, range: StepRange) {
  const { model, sampler, schedule, steps, addsNoise } = sampling;
  const begunBy = (addsNoise ? undefined : latent.checkpoint) ?? model.checkpoint;
  return {
    ...guidanceOf({ ...sampling, steps: range }),
    seed,
    index: 0,
    steps,
    sampler,
    scheduler: schedule,
    checkpoint: begunBy,
    refiner: begunBy === model.checkpoint ? "" : model.checkpoint,
  };
}

/** How much of the picture is painted anew, as `denoisePicture` counts it. */
function replacedOf(latent: Latent, { addsNoise }: Sampling, { start }: StepRange): number {
  // In what is left to do, the share of the picture is that of the steps.
  return addsNoise ? 1 - start : Math.min(1 - start, latent.noise) ** (2 / 3);
}
