import { hex, lighten, mix, type Rgb } from "./colour.ts";
import type { Palette } from "./mood.ts";
import { animalOf } from "./mood.ts";
import { between, hashPair, type Random } from "./random.ts";
import type { Layer, Outline, Scene } from "./scene.ts";
import { WHITE } from "./strokes.ts";
import type { Theme } from "./words.ts";

/** The far layers, from the back: mountains or dunes or a skyline, then hills, then woods. */
export function layersOf(themes: ReadonlySet<Theme>, palette: Palette, seed: number): readonly Layer[] {
  const { haze, shade, horizon, light, sky } = palette;
  const snowy = themes.has("snow");
  const air = mix(haze, sky[1] ?? haze, 0.6);
  const depth = (share: number) => {
    const far = mix(air, shade, share);
    return [far, mix(far, mix(air, haze, 0.5), 0.5)] as const;
  };
  const layers: Layer[] = [];
  const add = (
    outline: Outline,
    y: number,
    amplitude: number,
    frequency: number,
    share: number,
    more: Partial<Layer> = {},
  ) =>
    layers.push({
      outline,
      seed: hashPair(seed, layers.length + 1),
      y,
      amplitude,
      frequency,
      colours: depth(share),
      ...more,
    });
  const sea = themes.has("sea");
  if (themes.has("desert")) {
    for (const [i, share] of [0.12, 0.3, 0.5].entries()) {
      add("dunes", horizon - 0.05 + i * 0.055, 0.06 + i * 0.012, 1.5 - i * 0.2, share, {
        colours: sand(palette, share),
      });
    }
  } else if (themes.has("city")) {
    const windows =
      palette.mood === "day" || palette.mood === "winter" ? undefined : mix(hex("#ffd98a"), light, 0.3);
    const dusk = sky[Math.floor(sky.length / 2)] ?? haze;
    for (const [i, share] of [0.35, 0.62, 0.88].entries()) {
      const wall = mix(mix(dusk, haze, 0.15), shade, share);
      const lit = windows && i > 0 ? { windows } : {};
      add("city", horizon - 0.15 + i * 0.06, 0.3 - i * 0.05, 9 - i * 1.6, share, {
        colours: [wall, mix(wall, dusk, 0.3)],
        ...lit,
      });
    }
  } else if (themes.has("mountains") || sea || themes.has("fire") || themes.has("space")) {
    const height = themes.has("mountains") ? 1 : sea ? 0.45 : 0.75;
    const caps = themes.has("mountains") || snowy ? { caps: mix(mix(WHITE, light, 0.35), haze, 0.25) } : {};
    add("mountains", horizon - 0.17 * height, 0.22 * height, 1.6, 0.2, caps);
    add("mountains", horizon - 0.08 * height, 0.18 * height, 2.1, 0.36, themes.has("mountains") ? caps : {});
    if (!sea) {
      add("hills", horizon - 0.01, 0.07, 1.8, 0.52);
    }
  } else {
    add("hills", horizon - 0.1, 0.09, 1.3, 0.16);
    add("hills", horizon - 0.05, 0.08, 1.7, 0.28);
  }
  if (themes.has("forest")) {
    add("forest", horizon - 0.02, 0.13, 26, 0.34);
    add("forest", horizon + 0.03, 0.2, 17, 0.55);
    add("forest", horizon + 0.08, 0.34, 9, 0.82);
  }
  if (themes.has("meadow") || themes.has("flowers")) {
    add("hills", horizon + 0.02, 0.06, 1.4, 0.4, { colours: grass(palette, 0.35) });
    add("hills", horizon + 0.08, 0.06, 1.1, 0.5, { colours: grass(palette, 0.6) });
  }
  return layers;
}

function sand({ haze, shade, tint }: Palette, share: number): readonly Rgb[] {
  const lit = tint(mix(hex("#f2c07a"), haze, 0.55 - share * 0.6), 0.25);
  return [lit, mix(mix(lit, hex("#a8562f"), 0.5), shade, 0.15 + share * 0.2)];
}

function grass({ haze, shade, tint, mood }: Palette, share: number): readonly Rgb[] {
  const green = hex(mood === "sunset" || mood === "dawn" ? "#8a9a4e" : "#6fb04f");
  const lit = tint(mix(green, haze, 0.5 - share * 0.45), 0.2);
  return [lit, mix(mix(lit, hex("#1f5a3c"), 0.45), shade, 0.12 + share * 0.2)];
}

/** The ground in front, and what it is made of. */
export function groundOf(
  themes: ReadonlySet<Theme>,
  palette: Palette,
  water: boolean,
  random: Random,
  seed: number,
): Pick<Scene, "ground" | "groundKind"> {
  const { haze, shade, light, sky, mood } = palette;
  const animal = animalOf(themes);
  const snowy = themes.has("snow");
  const groundKind = snowy
    ? "snow"
    : themes.has("desert") || water
      ? "sand"
      : themes.has("meadow") || themes.has("flowers") || themes.has("forest")
        ? "grass"
        : "rock";
  if (water && !animal && !themes.has("flowers")) {
    return { ground: undefined, groundKind };
  }
  const dark = mood === "night" || mood === "space" || mood === "neon" || mood === "fire" || mood === "storm";
  const colours =
    groundKind === "snow"
      ? [
          mix(mix(WHITE, light, 0.35), sky[1] ?? haze, dark ? 0.5 : 0.06),
          mix(mix(WHITE, sky[0] ?? haze, 0.5), shade, dark ? 0.55 : 0.06),
        ]
      : groundKind === "sand"
        ? sand(palette, 0.75)
        : groundKind === "grass" && !dark
          ? grass(palette, 0.85).map((colour) => mix(colour, shade, themes.has("forest") ? 0.45 : 0.15))
          : [mix(shade, haze, 0.12), lighten(shade, -0.05)];
  const y = Math.max(palette.horizon + 0.1, between(random, 0.74, 0.78));
  return {
    ground: {
      outline: groundKind === "sand" ? "dunes" : "ground",
      seed: hashPair(seed, 77),
      y,
      amplitude: 0.045,
      frequency: 0.9,
      colours,
    },
    groundKind,
  };
}
