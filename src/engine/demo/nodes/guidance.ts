import type { GuidedRecipe, Overlay } from "../picture/guided.ts";
import type { Conditioning, ConditioningPart, Control, Model, StepRange } from "./value.ts";

/** The part of a recipe that encoded texts decide on. */
export type Guidance = Pick<
  GuidedRecipe,
  | "prompt"
  | "negativePrompt"
  | "cfg"
  | "loras"
  | "clipLayer"
  | "details"
  | "overlays"
  | "followed"
  | "surroundings"
>;

/** What leads a sampler, and the steps that it does. */
export interface Lead {
  readonly model: Model;
  readonly positive: Conditioning;
  /** Without effect if cfg is 1, as in ComfyUI. */
  readonly negative: Conditioning | undefined;
  readonly cfg: number;
  readonly steps: StepRange;
}

/** The cfg with which a recipe makes its best picture. */
const USUAL_CFG = 7;

/** A LoRA counts less on the text encoder than on the diffusion model. */
const CLIP_LORA_SHARE = 0.25;

/**
 * Puts together what leads a sampler. Texts that count everywhere and for as long as any other are one prompt together;
 * each other text is laid over their picture, by the share of the steps for which it counts and where it counts.
 */
export function guidanceOf({ model, positive, negative, cfg, steps }: Lead): Guidance {
  const timed = positive.parts.map((part) => ({ part, share: shareOf(part.steps, steps) }));
  const counting = timed.filter(({ share }) => share > 0);
  const longest = Math.max(...counting.map(({ share }) => share));
  const plain = counting.filter(({ part, share }) => part.region === undefined && share === longest);
  const base = plain.length > 0 ? plain : counting.slice(0, 1);
  const rest = counting.filter((candidate) => !base.includes(candidate));
  const { clip, guidance } = base[0]?.part ?? positive.parts[0] ?? noParts();
  const unwanted =
    cfg === 1 || !negative ? [] : negative.parts.filter((part) => shareOf(part.steps, steps) > 0);
  const surroundings = counting.find(({ part }) => part.surroundings)?.part.surroundings;
  return {
    prompt: textOf(base.map(({ part }) => part)),
    negativePrompt: textOf(unwanted),
    cfg: cfgOf(model, cfg, guidance),
    loras: [
      ...model.loras,
      ...clip.loras.map((lora) => ({ ...lora, strength: lora.strength * CLIP_LORA_SHARE })),
    ],
    clipLayer: clip.layer,
    details: [...clip.encoders, ...base.flatMap(({ part }) => part.details)],
    overlays: [
      ...base.flatMap(({ part }) => averageOf(part, 1)),
      ...rest.flatMap(({ part, share }) => [overlayOf(part, share), ...averageOf(part, share)]),
    ],
    followed: followedOf(
      counting.map(({ part }) => part),
      steps,
    ),
    surroundings: model.family.paintsInto ? surroundings : undefined,
  };
}

/** How much of the steps that a sampler does lies within a range, 0 to 1. */
function shareOf(range: StepRange, done: StepRange): number {
  const common = Math.min(range.end, done.end) - Math.max(range.start, done.start);
  return done.end > done.start ? Math.max(0, common) / (done.end - done.start) : 0;
}

/** The same for a model of any family: its best picture comes with its usual cfg and guidance. */
function cfgOf({ family, rescaled }: Model, cfg: number, guidance: number | undefined): number {
  const felt = 1 + (cfg - 1) * (1 - rescaled / 2);
  const followed = guidance === undefined || !family.usualGuidance ? 1 : guidance / family.usualGuidance;
  return (felt * followed * USUAL_CFG) / family.usualCfg;
}

function textOf(parts: readonly ConditioningPart[]): string {
  return parts
    .map(({ text }) => text)
    .filter((text) => text !== "")
    .join(", ");
}

function overlayOf({ text, strength, region }: ConditioningPart, share: number): Overlay {
  return { prompt: text, share: Math.min(1, share * strength), region };
}

function averageOf({ averaged, strength, region }: ConditioningPart, share: number): readonly Overlay[] {
  return averaged && averaged.share > 0
    ? [{ prompt: averaged.text, share: Math.min(1, averaged.share * share * strength), region }]
    : [];
}

/** Several texts may bear the same control, which counts once. */
function followedOf(parts: readonly ConditioningPart[], steps: StepRange): GuidedRecipe["followed"] {
  const controls = new Set<Control>(parts.flatMap((part) => part.controls));
  return [...controls]
    .map(({ hints, strength, steps: range }) => ({
      hints,
      share: Math.min(1, strength * shareOf(range, steps)),
    }))
    .filter(({ share }) => share > 0);
}

function noParts(): never {
  throw new RangeError("a conditioning has at least one part");
}
