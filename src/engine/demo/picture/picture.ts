import { type Canvas, createCanvas, eachRow, type Work } from "./canvas.ts";
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

/** Everything that a picture depends on. The same recipe and size give the same bytes, and no field is without effect. */
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
  /** How much of what was there before is replaced, 0 to 1. */
  readonly denoise: number;
  /** What was there before; nothing if the picture is painted from noise alone. */
  readonly under: Source | undefined;
}

/** Where a picture comes from. */
export type Source =
  | { readonly kind: "blank" }
  | { readonly kind: "pixels"; readonly images: readonly Pixels[] }
  | { readonly kind: "painted"; readonly recipe: Recipe };

/** How a source becomes pixels. */
export interface Development {
  /** Noise left in it, 0 to 1. */
  readonly noise: number;
  /** Name of the VAE; the checkpoint's own has no tone of its own. */
  readonly vae: string;
}

/** Draws picture `index` of `source` in any size. Pauses now and then, see `Work`; ends with the pixels. */
export function* drawSource(
  source: Source,
  index: number,
  width: number,
  height: number,
  development: Development,
): Generator<void, Pixels, void> {
  const canvas = createCanvas(width, height);
  yield* paintSource(source, index, canvas);
  const data = new Uint8Array(width * height * 3);
  yield* finishPicture(canvas, finishOf(source, index, development), data);
  return { width, height, data };
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

function* paintSource(source: Source, index: number, canvas: Canvas): Work {
  if (source.kind === "blank") {
    canvas.pixels.fill(128);
    return;
  }
  if (source.kind === "pixels") {
    yield* copyPixels(source.images[index % source.images.length], canvas);
    return;
  }
  const { recipe } = source;
  yield* paintScene(sceneOf({ ...recipe, index: recipe.index + index }), canvas);
  if (recipe.under && recipe.denoise < 1) {
    const below = createCanvas(canvas.width, canvas.height);
    yield* paintSource(recipe.under, index, below);
    yield* layUnder(canvas, below, recipe.denoise);
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
  const manner = hashPair(
    hashText(`${recipe.sampler}/${recipe.scheduler}`),
    hashPair(hashText(recipe.negativePrompt), loras),
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

function finishOf(source: Source, index: number, { noise, vae }: Development): Finish {
  const ownVae = vae === "" ? 0 : 1;
  const plain: Finish = {
    seed: hashPair(index, hashText(vae)),
    noise,
    saturation: 1 + 0.06 * ownVae,
    contrast: 1 + 0.05 * ownVae,
    warmth: 0.03 * ownVae,
    grain: 0,
    neon: 0,
    watercolour: 0,
  };
  if (source.kind !== "painted") {
    return plain;
  }
  const { recipe } = source;
  const guided = recipe.cfg - 7;
  return {
    ...plain,
    seed: hashPair(hashSeed(recipe.seed), hashPair(index, plain.seed)),
    noise: noise + (1 - noise) * unsettled(recipe.steps) * recipe.denoise,
    saturation: plain.saturation * Math.min(1.6, Math.max(0.45, 1 + guided * (guided < 0 ? 0.075 : 0.035))),
    contrast: plain.contrast * Math.min(1.5, Math.max(0.75, 1 + guided * 0.02)),
    grain: recipe.checkpoint.includes("xl") ? 1.2 : 2.4,
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

function* copyPixels(image: Pixels | undefined, canvas: Canvas): Work {
  if (!image) {
    return;
  }
  const { width, height, pixels } = canvas;
  yield* eachRow(canvas, 0, height, (y) => {
    const fromRow = Math.floor((y * image.height) / height) * image.width;
    for (let x = 0; x < width; x++) {
      const from = (fromRow + Math.floor((x * image.width) / width)) * 3;
      const to = (y * width + x) * 3;
      pixels[to] = image.data[from] ?? 0;
      pixels[to + 1] = image.data[from + 1] ?? 0;
      pixels[to + 2] = image.data[from + 2] ?? 0;
    }
  });
}

/** Lets `below` show through by as much as `denoise` leaves of it. */
function* layUnder(canvas: Canvas, below: Canvas, denoise: number): Work {
  // Half way, a diffusion model keeps more of the old picture than half.
  const share = denoise ** 1.5;
  yield* eachRow(canvas, 0, canvas.height, (y) => {
    const end = (y + 1) * canvas.width * 3;
    for (let i = y * canvas.width * 3; i < end; i++) {
      const old = below.pixels[i] ?? 0;
      canvas.pixels[i] = old + ((canvas.pixels[i] ?? 0) - old) * share;
    }
  });
}
