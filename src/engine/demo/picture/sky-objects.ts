import { hex, mix, type Rgb } from "./colour.ts";
import type { Mood, Palette } from "./mood.ts";
import { between, type Random } from "./random.ts";
import type { Disc, Scene } from "./scene.ts";
import { WHITE } from "./strokes.ts";
import type { Theme } from "./words.ts";

/** Density of the stars, 0 to 1. */
export function starsOf(themes: ReadonlySet<Theme>, mood: Mood): number {
  if (mood === "space") return 1;
  if (mood === "night") return themes.has("stars") ? 0.9 : 0.55;
  if (mood === "neon") return 0.35;
  return themes.has("stars") ? 0.6 : 0;
}

/** Northern lights or a nebula, if the themes have them. */
export function veilsOf(
  themes: ReadonlySet<Theme>,
  mood: Mood,
  sky: readonly Rgb[],
  tint: Palette["tint"],
): Pick<Scene, "veils" | "veilKind"> {
  if (mood === "space") {
    return {
      veils: [tint(hex("#c2459a"), 0.7), tint(hex("#3f6be0"), 0.5), tint(hex("#f0a35e"), 0.3)],
      veilKind: "nebula",
    };
  }
  const polar = themes.has("aurora") || (mood === "night" && themes.has("snow"));
  return {
    veils: polar ? [tint(hex("#4fe3a1"), 0.3), tint(hex("#6b7bf0"), 0.3), sky[1] ?? WHITE] : [],
    veilKind: "aurora",
  };
}

/** Sun, moon or planet: low at the ends of the day, high else; none in a storm. */
export function discOf(themes: ReadonlySet<Theme>, palette: Palette, random: Random): Disc | undefined {
  const { mood, horizon, light, tint } = palette;
  const x = random() < 0.5 ? between(random, 0.2, 0.36) : between(random, 0.64, 0.8);
  const high = between(random, 0.14, 0.26);
  const low = horizon - between(random, 0.1, 0.2);
  switch (mood) {
    case "fog":
      return {
        x,
        y: high + 0.08,
        radius: 0.05,
        colour: mix(light, WHITE, 0.4),
        glow: light,
        strength: 0.35,
        kind: "sun",
      };
    case "storm":
      return undefined;
    case "night":
      return {
        x,
        y: high,
        radius: 0.055,
        colour: hex("#f7f3df"),
        glow: hex("#9fb9f0"),
        strength: 0.4,
        kind: "moon",
      };
    case "space":
      return {
        x,
        y: high + 0.1,
        radius: between(random, 0.12, 0.17),
        colour: tint(hex("#e2925a"), 0.6),
        glow: tint(hex("#7f7bf0"), 0.4),
        strength: 0.3,
        kind: "planet",
      };
    case "day":
      return {
        x,
        y: high,
        radius: 0.05,
        colour: hex("#fffdf2"),
        glow: hex("#fff3c4"),
        strength: 0.5,
        kind: "sun",
      };
    case "winter":
      return {
        x,
        y: low - 0.04,
        radius: 0.06,
        colour: hex("#fffaf0"),
        glow: tint(hex("#ffd7b5"), 0.2),
        strength: 0.6,
        kind: themes.has("moon") ? "moon" : "sun",
      };
    default:
      return {
        x: mood === "neon" ? 0.5 : x,
        y: low,
        radius: mood === "neon" ? 0.17 : 0.085,
        colour: mix(light, WHITE, 0.25),
        glow: light,
        strength: 0.7,
        kind: "sun",
      };
  }
}

/** How much of the sky is clouded, 0 to 1. */
export function cloudsOf(themes: ReadonlySet<Theme>, mood: Mood, random: Random): number {
  if (mood === "space") return 0;
  if (mood === "storm" || themes.has("rain")) return 0.95;
  if (themes.has("clouds")) return 0.8;
  if (mood === "night" || mood === "fog") return 0.2;
  return between(random, 0.35, 0.6);
}
