import { adjust, hex, mix, type Rgb, toLch } from "./colour.ts";
import type { Animal } from "./figure.ts";
import type { Reading, Theme } from "./words.ts";

/** Light and weather: what decides on the colours. */
export type Mood =
  | "day"
  | "winter"
  | "dawn"
  | "sunset"
  | "night"
  | "fog"
  | "storm"
  | "fire"
  | "space"
  | "neon";

/** Colours of each mood: of the sky from the top to the horizon, of what is near, and of the light. */
export const MOODS: Readonly<Record<Mood, { sky: readonly Rgb[]; near: Rgb; light: Rgb }>> = {
  day: {
    sky: [hex("#2f7fc8"), hex("#74b5e6"), hex("#bfe0f1"), hex("#f2f3e6")],
    near: hex("#1f3f4d"),
    light: hex("#fff4d6"),
  },
  winter: {
    sky: [hex("#6c8fcb"), hex("#a9bfe6"), hex("#e3cfe0"), hex("#fbdccb"), hex("#ffe9d2")],
    near: hex("#3c5580"),
    light: hex("#ffe6d0"),
  },
  dawn: {
    sky: [hex("#4a62a8"), hex("#9a93cf"), hex("#eaa9b4"), hex("#fdd7b4")],
    near: hex("#333663"),
    light: hex("#ffe0bd"),
  },
  sunset: {
    sky: [hex("#2b2559"), hex("#7a3879"), hex("#d9566b"), hex("#f78d4f"), hex("#fdc768")],
    near: hex("#22183b"),
    light: hex("#ffc47a"),
  },
  night: {
    sky: [hex("#060a1e"), hex("#101f47"), hex("#23427a"), hex("#4a6ea6")],
    near: hex("#060b1c"),
    light: hex("#cfdcff"),
  },
  fog: {
    sky: [hex("#8d9fae"), hex("#b4c2ca"), hex("#d6dedf"), hex("#eceeea")],
    near: hex("#3d4f58"),
    light: hex("#f6f3e8"),
  },
  storm: {
    sky: [hex("#1c2530"), hex("#3a4857"), hex("#66767f"), hex("#a2aca8")],
    near: hex("#121a22"),
    light: hex("#d5dcd6"),
  },
  fire: {
    sky: [hex("#16090f"), hex("#4b0f18"), hex("#a82a16"), hex("#ee7a22"), hex("#ffc24f")],
    near: hex("#140a0d"),
    light: hex("#ffb45a"),
  },
  space: {
    sky: [hex("#05030f"), hex("#100a2a"), hex("#24124c"), hex("#3d1f66")],
    near: hex("#07051a"),
    light: hex("#cdd2ff"),
  },
  neon: {
    sky: [hex("#07031a"), hex("#220a4e"), hex("#6a117f"), hex("#e0267f"), hex("#ff8a5c")],
    near: hex("#0b0524"),
    light: hex("#ff8fd0"),
  },
};

/** What everything in a scene takes its colours from. */
export interface Palette {
  readonly mood: Mood;
  readonly sky: readonly Rgb[];
  readonly haze: Rgb;
  readonly shade: Rgb;
  readonly light: Rgb;
  readonly horizon: number;
  readonly tint: (colour: Rgb, share: number) => Rgb;
}

/** The mood that the themes make; winter light if there is no other. */
export function moodOf(themes: ReadonlySet<Theme>): Mood {
  const order: readonly Mood[] = ["space", "neon", "fire", "night", "storm", "sunset", "dawn", "fog", "day"];
  return order.find((mood) => (themes as ReadonlySet<string>).has(mood)) ?? "winter";
}

/** What decides on the composition, apart from the words. */
export interface Chance {
  /** 32-bit hash of everything that should make a picture another picture: seed, model, unknown words. */
  readonly seed: number;
  /** 32-bit hash for the details, such as the shape of the clouds. */
  readonly detailSeed: number;
  /** How much the colours lean towards those that the prompt names, 0 to 1. */
  readonly faith: number;
  /** Hue that all colours are turned by, in radians. */
  readonly hueShift: number;
  /** Strength of the neon look, 0 to 1 and more. */
  readonly neon: number;
  /** Colours to keep away from. */
  readonly avoided: readonly Rgb[];
}

/** Leans a colour towards the named ones; without any, turns its hue a little, so that no two seeds look alike. */
export function tintOf(reading: Reading, chance: Chance): (colour: Rgb, share: number) => Rgb {
  // Where there are flowers, the colours are theirs.
  const [first, second] = reading.themes.has("flowers") ? [] : reading.colours;
  return (colour, share) => {
    const turned = avoid(
      adjust(colour, (lch) => ({ ...lch, hue: lch.hue + chance.hueShift })),
      chance.avoided,
    );
    if (!first) {
      return turned;
    }
    const own = toLch(turned);
    // The upper, darker end takes the second colour, so that two named colours both show.
    const target = toLch(second && own.lightness < 0.62 ? second : first);
    const named = adjust(turned, () => ({
      lightness: own.lightness + (target.lightness - own.lightness) * 0.35,
      chroma: Math.max(own.chroma, target.chroma),
      hue: target.hue,
    }));
    const grey = target.chroma < 0.04;
    const wanted = grey
      ? adjust(turned, (lch) => ({
          ...lch,
          chroma: 0.015,
          lightness: lch.lightness * 0.6 + target.lightness * 0.4,
        }))
      : named;
    return mix(turned, wanted, Math.min(0.95, share * (0.6 + chance.faith)));
  };
}

/** Takes the strength out of a colour that is near an avoided one, and turns it away from it. */
function avoid(colour: Rgb, avoided: readonly Rgb[]): Rgb {
  return avoided.reduce((result, unwanted) => {
    const away = toLch(unwanted).hue;
    return adjust(result, (lch) => {
      const distance = Math.atan2(Math.sin(lch.hue - away), Math.cos(lch.hue - away));
      const nearness = Math.max(0, 1 - Math.abs(distance) / 1.2);
      return {
        ...lch,
        chroma: lch.chroma * (1 - 0.5 * nearness),
        hue: lch.hue + Math.sign(distance || 1) * nearness * 1.1,
      };
    });
  }, colour);
}

/** The animal that is asked for, if any. */
export function animalOf(themes: ReadonlySet<Theme>): Animal | undefined {
  const animals: readonly Animal[] = ["fox", "wolf", "cat"];
  return animals.find((animal) => themes.has(animal));
}
