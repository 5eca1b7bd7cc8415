import type { Canvas, Work } from "./canvas.ts";
import { gradientTable, hex, lighten, mix, type Rgb } from "./colour.ts";
import { fillPolygons, type Polygon, polygonsOf } from "./shape.ts";

/** An animal that sits in the foreground and looks at the onlooker. */
export type Animal = "fox" | "wolf" | "cat";

/** Where the figure sits, in pixels: the middle of its base, and its height. */
export interface Seat {
  readonly x: number;
  readonly y: number;
  readonly height: number;
  /** Whether the tail lies on the left. */
  readonly mirrored: boolean;
}

/** Colours of a coat: fur from head to foot, the light parts, and the dark ones. */
export interface Coat {
  readonly fur: Rgb;
  readonly pale: Rgb;
  readonly dark: Rgb;
  readonly eye: Rgb;
}

/**
 * The coat of `animal`, its fur in `named` colour if a prompt names one. `light` is the colour of the light that falls
 * on it and `share` how much of it shows.
 */
export function coatOf(animal: Animal, named: Rgb | undefined, light: Rgb, share: number): Coat {
  const coat = COATS[animal];
  // "A red fox" means the animal's own red, not the colour of a fire engine.
  const fur = named ? mix(coat.fur, named, animal === "fox" ? 0.3 : 0.8) : coat.fur;
  const lit = (colour: Rgb) => mix(colour, light, share);
  return { fur: lit(fur), pale: lit(coat.pale), dark: lit(coat.dark), eye: coat.eye };
}

/** Paints the figure from back to front: tail, body, legs, chest, head. */
export function* paintFigure(canvas: Canvas, animal: Animal, seat: Seat, coat: Coat): Work {
  const turn = seat.mirrored ? -1 : 1;
  const place = (polygon: Polygon): Polygon =>
    polygon.map((value, i) =>
      i % 2 === 0 ? seat.x + value * turn * seat.height : seat.y + value * seat.height,
    );
  for (const part of PARTS[animal]) {
    const colour = colourOf(part.paint, coat);
    yield* fillPolygons(canvas, part.polygons.map(place), {
      table: gradientTable([lighten(colour, part.lift ?? 0.03), lighten(colour, -(part.drop ?? 0.05))], 16),
      top: seat.y + part.top * seat.height,
      bottom: seat.y + part.bottom * seat.height,
      opacity: part.opacity ?? 1,
    });
  }
}

const COATS: Readonly<Record<Animal, Coat>> = {
  fox: { fur: hex("#e0672a"), pale: hex("#fdf4ea"), dark: hex("#3b2420"), eye: hex("#20130f") },
  wolf: { fur: hex("#7d8796"), pale: hex("#e9edf2"), dark: hex("#363d4a"), eye: hex("#1a1c22") },
  cat: { fur: hex("#4a4550"), pale: hex("#6a6472"), dark: hex("#2b2830"), eye: hex("#e9c94a") },
};

type Paint = "fur" | "shade" | "pale" | "paleShade" | "dark" | "eye" | "spark";

/** A part of a figure. Units: the figure is 1 high, (0, 0) is the middle of its base, y points down. */
interface Part {
  readonly path: string;
  readonly paint: Paint;
  /** Rows between which the part goes from light to dark. */
  readonly top: number;
  readonly bottom: number;
  readonly lift?: number;
  readonly drop?: number;
  readonly opacity?: number;
}

function colourOf(paint: Paint, coat: Coat): Rgb {
  switch (paint) {
    case "fur":
      return coat.fur;
    case "shade":
      return mix(coat.fur, coat.dark, 0.38);
    case "pale":
      return coat.pale;
    case "paleShade":
      return mix(coat.pale, coat.fur, 0.28);
    case "dark":
      return coat.dark;
    case "eye":
      return coat.eye;
    case "spark":
      return [255, 255, 255];
  }
}

/** The same path on the other side. */
function mirrored(path: string): string {
  return path.replace(/(-?[\d.]+) (-?[\d.]+)/g, (_, x: string, y: string) => `${-Number(x)} ${y}`);
}

function both(part: Part): Part {
  return { ...part, path: part.path + mirrored(part.path) };
}

const BUSHY_TAIL: readonly Part[] = [
  {
    path: "M0.06 -0.01 C0.16 0.015 0.36 0.02 0.44 -0.08 C0.52 -0.18 0.50 -0.34 0.40 -0.47 C0.39 -0.36 0.37 -0.30 0.30 -0.25 C0.22 -0.19 0.12 -0.16 0.06 -0.16 Z",
    paint: "fur",
    top: -0.45,
    bottom: 0.02,
    lift: 0.02,
    drop: 0.1,
  },
  {
    path: "M0.06 -0.01 C0.16 0.015 0.36 0.02 0.44 -0.08 C0.46 -0.105 0.475 -0.14 0.48 -0.17 C0.42 -0.08 0.28 -0.04 0.06 -0.07 Z",
    paint: "shade",
    top: -0.2,
    bottom: 0.02,
    opacity: 0.55,
  },
  {
    path: "M0.40 -0.47 C0.47 -0.38 0.507 -0.29 0.49 -0.20 C0.465 -0.235 0.455 -0.205 0.44 -0.235 C0.425 -0.215 0.41 -0.25 0.385 -0.235 C0.385 -0.265 0.36 -0.265 0.362 -0.305 C0.385 -0.35 0.395 -0.40 0.40 -0.47 Z",
    paint: "pale",
    top: -0.47,
    bottom: -0.2,
    drop: 0.08,
  },
];

const BODY: readonly Part[] = [
  {
    path: "M0 -0.60 C0.10 -0.60 0.15 -0.50 0.165 -0.40 C0.185 -0.27 0.235 -0.20 0.225 -0.09 C0.222 -0.03 0.19 0 0.14 0 L-0.14 0 C-0.19 0 -0.222 -0.03 -0.225 -0.09 C-0.235 -0.20 -0.185 -0.27 -0.165 -0.40 C-0.15 -0.50 -0.10 -0.60 0 -0.60 Z",
    paint: "fur",
    top: -0.6,
    bottom: 0,
    lift: 0,
    drop: 0.09,
  },
  both({
    path: "M0.09 0 C0.075 -0.06 0.10 -0.17 0.155 -0.19 C0.20 -0.20 0.228 -0.14 0.225 -0.09 C0.222 -0.03 0.19 0 0.14 0 Z",
    paint: "shade",
    top: -0.2,
    bottom: 0,
    opacity: 0.5,
    lift: 0.06,
    drop: 0.02,
  }),
  both({
    path: "M0.012 0 C0.008 -0.10 0.010 -0.22 0.03 -0.31 C0.045 -0.34 0.07 -0.34 0.08 -0.31 C0.098 -0.22 0.098 -0.08 0.10 -0.025 C0.10 -0.008 0.09 0 0.075 0 Z",
    paint: "fur",
    top: -0.34,
    bottom: 0,
    lift: 0.01,
    drop: 0.03,
  }),
];

const SOCKS: readonly Part[] = [
  both({
    path: "M0.012 0 C0.010 -0.05 0.010 -0.10 0.014 -0.15 C0.04 -0.125 0.07 -0.125 0.096 -0.14 C0.099 -0.09 0.099 -0.05 0.10 -0.025 C0.10 -0.008 0.09 0 0.075 0 Z",
    paint: "dark",
    top: -0.15,
    bottom: 0,
    lift: 0.05,
    drop: 0,
  }),
];

const CHEST: readonly Part[] = [
  {
    path: "M0 -0.545 C0.09 -0.53 0.135 -0.47 0.125 -0.41 C0.105 -0.415 0.11 -0.385 0.098 -0.36 C0.085 -0.365 0.082 -0.335 0.068 -0.31 C0.052 -0.315 0.05 -0.28 0.036 -0.255 C0.022 -0.26 0.012 -0.225 0 -0.185 C-0.012 -0.225 -0.022 -0.26 -0.036 -0.255 C-0.05 -0.28 -0.052 -0.315 -0.068 -0.31 C-0.082 -0.335 -0.085 -0.365 -0.098 -0.36 C-0.11 -0.385 -0.105 -0.415 -0.125 -0.41 C-0.135 -0.47 -0.09 -0.53 0 -0.545 Z",
    paint: "pale",
    top: -0.54,
    bottom: -0.2,
    lift: -0.04,
    drop: 0.02,
  },
];

const HEAD_SHADOW: readonly Part[] = [
  {
    path: "M-0.15 -0.55 C-0.11 -0.47 -0.05 -0.415 0 -0.412 C0.05 -0.415 0.11 -0.47 0.15 -0.55 Z",
    paint: "shade",
    top: -0.55,
    bottom: -0.41,
    lift: 0,
    drop: 0,
    opacity: 0.35,
  },
];

const CANINE_HEAD: readonly Part[] = [
  both({
    path: "M0.045 -0.815 C0.09 -0.88 0.15 -0.96 0.205 -1.0 C0.235 -0.92 0.235 -0.82 0.215 -0.715 Z",
    paint: "fur",
    top: -1,
    bottom: -0.7,
    lift: 0.02,
    drop: 0.03,
  }),
  both({
    path: "M0.092 -0.815 C0.12 -0.87 0.16 -0.93 0.192 -0.955 C0.21 -0.90 0.208 -0.83 0.195 -0.755 Z",
    paint: "dark",
    top: -0.96,
    bottom: -0.75,
    lift: 0.03,
    drop: 0,
  }),
  {
    path: "M0 -0.825 C0.10 -0.835 0.175 -0.785 0.205 -0.715 C0.225 -0.665 0.25 -0.63 0.29 -0.60 C0.225 -0.59 0.15 -0.56 0.095 -0.505 C0.06 -0.47 0.03 -0.445 0 -0.442 C-0.03 -0.445 -0.06 -0.47 -0.095 -0.505 C-0.15 -0.56 -0.225 -0.59 -0.29 -0.60 C-0.25 -0.63 -0.225 -0.665 -0.205 -0.715 C-0.175 -0.785 -0.10 -0.835 0 -0.825 Z",
    paint: "fur",
    top: -0.83,
    bottom: -0.45,
    lift: 0.045,
    drop: 0.045,
  },
  both({
    path: "M0.29 -0.60 C0.225 -0.59 0.15 -0.56 0.095 -0.505 C0.06 -0.47 0.03 -0.445 0 -0.442 L0 -0.53 C0.02 -0.545 0.035 -0.575 0.05 -0.61 C0.09 -0.645 0.16 -0.65 0.205 -0.635 C0.235 -0.625 0.26 -0.612 0.29 -0.60 Z",
    paint: "pale",
    top: -0.65,
    bottom: -0.44,
    lift: 0.01,
    drop: 0.04,
  }),
  {
    path: "M0 -0.80 C0.03 -0.74 0.04 -0.66 0.043 -0.585 C0.038 -0.55 0.02 -0.53 0 -0.525 C-0.02 -0.53 -0.038 -0.55 -0.043 -0.585 C-0.04 -0.66 -0.03 -0.74 0 -0.80 Z",
    paint: "fur",
    top: -0.8,
    bottom: -0.5,
    lift: 0.07,
    drop: 0,
  },
  {
    path: "M-0.034 -0.492 C-0.03 -0.515 0.03 -0.515 0.034 -0.492 C0.032 -0.472 0.014 -0.455 0 -0.453 C-0.014 -0.455 -0.032 -0.472 -0.034 -0.492 Z",
    paint: "dark",
    top: -0.52,
    bottom: -0.45,
    lift: 0.02,
    drop: 0.05,
  },
  both({
    path: "M0.060 -0.636 C0.068 -0.676 0.112 -0.694 0.143 -0.678 C0.142 -0.632 0.092 -0.612 0.060 -0.636 Z",
    paint: "eye",
    top: -0.68,
    bottom: -0.62,
    lift: 0,
    drop: 0,
  }),
  both({
    path: "M0.098 -0.668 C0.106 -0.678 0.120 -0.676 0.121 -0.665 C0.118 -0.654 0.102 -0.655 0.098 -0.668 Z",
    paint: "spark",
    top: -0.68,
    bottom: -0.65,
    lift: 0,
    drop: 0,
    opacity: 0.9,
  }),
];

const CAT_TAIL: readonly Part[] = [
  {
    path: "M0.10 -0.005 C0.28 0.02 0.40 -0.02 0.42 -0.13 C0.435 -0.22 0.39 -0.30 0.34 -0.33 C0.315 -0.335 0.305 -0.305 0.325 -0.285 C0.355 -0.25 0.37 -0.20 0.355 -0.15 C0.335 -0.09 0.24 -0.07 0.10 -0.09 Z",
    paint: "fur",
    top: -0.34,
    bottom: 0.02,
    drop: 0.06,
  },
];

const CAT_HEAD: readonly Part[] = [
  both({
    path: "M0.03 -0.80 C0.07 -0.85 0.13 -0.92 0.175 -0.95 C0.205 -0.88 0.205 -0.78 0.19 -0.68 Z",
    paint: "fur",
    top: -0.95,
    bottom: -0.68,
    lift: 0.03,
    drop: 0.02,
  }),
  both({
    path: "M0.08 -0.80 C0.11 -0.85 0.14 -0.88 0.163 -0.90 C0.178 -0.85 0.178 -0.79 0.172 -0.73 Z",
    paint: "dark",
    top: -0.9,
    bottom: -0.72,
    lift: 0.06,
    drop: 0,
  }),
  {
    path: "M0 -0.815 C0.11 -0.815 0.20 -0.75 0.21 -0.65 C0.215 -0.55 0.12 -0.475 0 -0.472 C-0.12 -0.475 -0.215 -0.55 -0.21 -0.65 C-0.20 -0.75 -0.11 -0.815 0 -0.815 Z",
    paint: "fur",
    top: -0.82,
    bottom: -0.47,
    lift: 0.06,
    drop: 0.03,
  },
  both({
    path: "M0 -0.565 C0.03 -0.585 0.085 -0.575 0.088 -0.535 C0.085 -0.50 0.04 -0.487 0 -0.49 Z",
    paint: "pale",
    top: -0.58,
    bottom: -0.48,
    lift: 0.04,
    drop: 0.02,
  }),
  both({
    path: "M0.045 -0.635 C0.06 -0.685 0.125 -0.69 0.145 -0.65 C0.13 -0.605 0.07 -0.60 0.045 -0.635 Z",
    paint: "eye",
    top: -0.69,
    bottom: -0.6,
    lift: 0.04,
    drop: 0.08,
  }),
  both({
    path: "M0.095 -0.68 C0.108 -0.66 0.108 -0.63 0.095 -0.61 C0.082 -0.63 0.082 -0.66 0.095 -0.68 Z",
    paint: "dark",
    top: -0.69,
    bottom: -0.6,
    lift: -0.1,
    drop: 0.1,
  }),
  {
    path: "M-0.022 -0.577 L0.022 -0.577 C0.02 -0.562 0.01 -0.55 0 -0.547 C-0.01 -0.55 -0.02 -0.562 -0.022 -0.577 Z",
    paint: "dark",
    top: -0.58,
    bottom: -0.54,
    lift: -0.02,
    drop: 0.04,
  },
];

const PARTS: Readonly<Record<Animal, readonly Cut[]>> = {
  fox: cut(BUSHY_TAIL, BODY, SOCKS, CHEST, HEAD_SHADOW, CANINE_HEAD),
  wolf: cut(BUSHY_TAIL, BODY, CHEST, HEAD_SHADOW, CANINE_HEAD),
  cat: cut(CAT_TAIL, BODY, HEAD_SHADOW, CAT_HEAD),
};

/** A part whose path has been turned into polygons, once for all pictures. */
interface Cut extends Part {
  readonly polygons: readonly Polygon[];
}

function cut(...groups: readonly (readonly Part[])[]): readonly Cut[] {
  return groups.flat().map((part) => ({ ...part, polygons: polygonsOf(part.path) }));
}
