import { type Canvas, createCanvas } from "./canvas.ts";
import { composeScene } from "./compose.ts";
import { type Finish, finishPicture } from "./finish.ts";
import { paintScene } from "./paint.ts";
import { hashPair, hashSeed, hashText } from "./random.ts";
import type { Scene } from "./scene.ts";
import { readPrompt, type Theme } from "./words.ts";

/** A picture as bytes: three a pixel, row by row from the top. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** A LoRA and how strongly it is used. */
export interface LoraUse {
  readonly name: string;
  readonly strength: number;
}

/** Everything that a picture depends on. The same recipe and size give the same numbers, and no field is without effect. */
export interface Recipe {
  readonly prompt: string;
  readonly negativePrompt: string;
  /** 0 to 2^64 − 1. */
  readonly seed: bigint;
  /** Which picture of a batch it is, from 0. */
  readonly index: number;
  readonly steps: number;
  readonly cfg: number;
  readonly sampler: string;
  readonly scheduler: string;
  readonly checkpoint: string;
  readonly loras: readonly LoraUse[];
  /** −1 for all layers of the text encoder, −2 for all but the last, and so on. */
  readonly clipLayer: number;
  /** Whatever else is different in the way that it was asked for; it shows in details. */
  readonly details: readonly string[];
  /** The checkpoint that finishes what another one has begun; empty if there is none. */
  readonly refiner: string;
}

/** Paints a picture in any size, 0 to 255. Pauses now and then, see `Work`; ends with the picture. */
export function* paintPicture(recipe: Recipe, width: number, height: number): Generator<void, Canvas, void> {
  const canvas = createCanvas(width, height);
  yield* paintScene(sceneOf(recipe), canvas);
  return yield* finishPicture(canvas, finishOf(recipe));
}

/** Runs work that pauses to its end at once. For small pictures. */
export function drawNow<T>(work: Generator<void, T, void>): T {
  for (;;) {
    const step = work.next();
    if (step.done) {
      return step.value;
    }
  }
}

function sceneOf(recipe: Recipe): Scene {
  const wanted = readPrompt(recipe.prompt);
  const unwanted = readPrompt(recipe.negativePrompt);
  const themes = new Set([...wanted.themes].filter((theme: Theme) => !unwanted.themes.has(theme)));
  const seed = hashPair(hashSeed(recipe.seed), hashPair(recipe.index, hashText(recipe.checkpoint)));
  const loras = recipe.loras.reduce(
    (hash, lora) => hashPair(hash, hashText(`${lora.name}:${lora.strength}`)),
    0,
  );
  const manner = recipe.details.reduce(
    (hash, detail) => hashPair(hash, hashText(detail)),
    hashPair(
      hashText(`${recipe.sampler}/${recipe.scheduler}`),
      hashPair(hashText(recipe.negativePrompt), loras),
    ),
  );
  const skipped = -1 - recipe.clipLayer;
  return composeScene(
    { ...wanted, themes, restHash: hashPair(wanted.restHash, skipped) },
    {
      seed: hashPair(seed, wanted.restHash),
      detailSeed: hashPair(seed, manner),
      faith: Math.max(0, Math.min(0.6, 0.05 * recipe.cfg - 0.06 * skipped)),
      hueShift:
        signed(seed) * 0.12 + signed(manner) * 0.09 + Math.min(0.5, 0.13 * skipped) + 0.12 / recipe.steps,
      neon: loraStrength(recipe, "neon"),
      avoided: unwanted.colours,
    },
  );
}

function finishOf(recipe: Recipe): Finish {
  const guided = recipe.cfg - 7;
  const refined = recipe.refiner === "" ? 0 : 1;
  return {
    seed: hashPair(hashSeed(recipe.seed), recipe.index),
    noise: unsettled(recipe.steps),
    saturation:
      Math.min(1.6, Math.max(0.45, 1 + guided * (guided < 0 ? 0.075 : 0.035))) * (1 + 0.2 * refined),
    contrast: Math.min(1.5, Math.max(0.75, 1 + guided * 0.02)) * (1 + 0.25 * refined),
    grain: (recipe.checkpoint.includes("xl") ? 1.2 : 2.4) * (1 - 0.7 * refined),
    neon: Math.min(0.75, Math.max(0, 0.5 * loraStrength(recipe, "neon"))),
    watercolour: Math.min(1, Math.max(0, loraStrength(recipe, "watercolor"))),
  };
}

/** Share of noise that too few steps leave behind: half after one step, none to speak of after twenty. */
function unsettled(steps: number): number {
  const share = 0.5 ** (steps / 1.5) * 0.8;
  return share < 0.002 ? 0 : share;
}

function loraStrength(recipe: Recipe, word: string): number {
  return recipe.loras
    .filter((lora) => lora.name.includes(word))
    .reduce((sum, lora) => sum + lora.strength, 0);
}

/** A hash as a number from −1 to 1. */
function signed(hash: number): number {
  return (hash % 2001) / 1000 - 1;
}
