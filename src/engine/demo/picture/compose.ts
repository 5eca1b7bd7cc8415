import { adjust, hex, mix, type Rgb } from "./colour.ts";
import { animalOf, type Chance, MOODS, moodOf, type Palette, tintOf } from "./mood.ts";
import { between, createRandom, hashPair, type Random } from "./random.ts";
import type { Particles, Scene } from "./scene.ts";
import { groundOf, layersOf } from "./scenery.ts";
import { cloudsOf, discOf, starsOf, veilsOf } from "./sky-objects.ts";
import { WHITE } from "./strokes.ts";
import type { Reading, Theme } from "./words.ts";

/** Decides what is in the picture. The same reading and chance give the same scene. */
export function composeScene(reading: Reading, chance: Chance): Scene {
  const random = createRandom(chance.seed);
  const themes = new Set(reading.themes);
  if (chance.neon > 0.5) {
    themes.add("neon");
  }
  fillIn(themes, reading.restHash, random);
  const mood = moodOf(themes);
  const tint = tintOf(reading, chance);
  const sky = MOODS[mood].sky.map((colour, i) => tint(colour, i === 0 ? 0.35 : 0.55));
  const haze = sky.at(-1) ?? WHITE;
  const shade = tint(MOODS[mood].near, 0.45);
  const light = tint(MOODS[mood].light, 0.3);
  const wet = themes.has("sea") || (themes.has("city") && !animalOf(themes));
  const water =
    wet && !themes.has("space")
      ? mix(hex("#1d5c7e"), sky[0] ?? WHITE, themes.has("city") ? 0.9 : 0.55)
      : undefined;
  const horizon = water ? between(random, 0.56, 0.63) : between(random, 0.6, 0.68);
  const palette = { mood, sky, haze, shade, light, horizon, tint };
  return {
    detailSeed: chance.detailSeed,
    sky,
    horizon,
    stars: starsOf(themes, mood),
    ...veilsOf(themes, mood, sky, tint),
    disc: discOf(themes, palette, random),
    clouds: cloudsOf(themes, mood, random),
    cloudColours: [mix(light, WHITE, mood === "night" ? 0.05 : 0.35), mix(sky[1] ?? haze, shade, 0.25)],
    birds: themes.has("birds") ? 9 : themes.has("sea") && mood !== "night" ? 3 : 0,
    balloon: themes.has("balloon") ? balloonColours(reading, random) : undefined,
    layers: layersOf(themes, palette, chance.seed),
    water: water ? tint(water, 0.4) : undefined,
    boat: themes.has("boat") ? [mix(hex("#fff6e8"), light, 0.2), mix(shade, hex("#6b2f25"), 0.4)] : undefined,
    ...groundOf(themes, palette, water !== undefined, random, chance.seed),
    flowers: flowersOf(themes, reading, random),
    animal: animalOf(themes),
    animalColour: reading.animalColour,
    particles: particlesOf(themes, palette, chance.detailSeed),
    light,
  };
}

/** Gives a prompt without a place or a time of day both, by its unknown words first and by chance second. */
function fillIn(themes: Set<Theme>, restHash: number, random: Random): void {
  const pick = (options: readonly Theme[], hash: number) => options[hash % options.length] ?? "mountains";
  const places: readonly Theme[] = [
    "forest",
    "mountains",
    "sea",
    "desert",
    "meadow",
    "city",
    "space",
    "flowers",
    "fire",
  ];
  if (!places.some((place) => themes.has(place))) {
    if (themes.has("snow") || themes.has("fox") || themes.has("wolf")) {
      themes.add("forest");
      if (random() < 0.6) {
        themes.add("mountains");
      }
    } else if (themes.has("boat")) {
      themes.add("sea");
    } else {
      themes.add(pick(["mountains", "meadow", "sea", "forest", "desert"], restHash));
    }
  }
  const times: readonly Theme[] = ["night", "sunset", "dawn", "day", "fog", "storm", "neon", "fire", "space"];
  if (!times.some((time) => themes.has(time))) {
    if (themes.has("aurora") || themes.has("stars") || themes.has("moon")) {
      themes.add("night");
    } else if (themes.has("rain")) {
      themes.add("fog");
    } else if (!themes.has("snow")) {
      themes.add(pick(["day", "sunset", "dawn", "day"], hashPair(restHash, 7)));
    }
  }
}

function balloonColours(reading: Reading, random: Random): readonly Rgb[] {
  const first = reading.colours[0] ?? adjust(hex("#e8553d"), (lch) => ({ ...lch, hue: random() * 6.28 }));
  return [first, reading.colours[1] ?? mix(first, WHITE, 0.75)];
}

function flowersOf(themes: ReadonlySet<Theme>, reading: Reading, random: Random): readonly Rgb[] {
  if (!themes.has("flowers") && !(themes.has("spring") && themes.has("meadow"))) {
    return [];
  }
  if (reading.colours.length > 0) {
    return reading.colours;
  }
  const first = random() * 6.28;
  return [0, 0.7, 2.2].map((turn) => adjust(hex("#ef5d8f"), (lch) => ({ ...lch, hue: first + turn })));
}

function particlesOf(themes: ReadonlySet<Theme>, palette: Palette, seed: number): Particles | undefined {
  const at = (kind: Particles["kind"], colour: Rgb, count: number) => ({
    kind,
    colour,
    count,
    seed: hashPair(seed, 99),
  });
  if (themes.has("snow")) return at("snow", WHITE, 170);
  if (themes.has("rain")) return at("rain", mix(WHITE, palette.haze, 0.4), 260);
  if (themes.has("fire")) return at("embers", hex("#ffb347"), 130);
  if (themes.has("spring") || themes.has("autumn")) {
    return at("petals", themes.has("autumn") ? hex("#d9692c") : hex("#ffc2d6"), 80);
  }
  const summerNight = palette.mood === "night" && (themes.has("forest") || themes.has("meadow"));
  return summerNight ? at("fireflies", hex("#f6f39a"), 60) : undefined;
}
