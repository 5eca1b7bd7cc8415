import type { Rgb } from "./colour.ts";
import type { Animal } from "./figure.ts";

/** Outline of a layer of the landscape. */
export type Outline = "mountains" | "hills" | "forest" | "city" | "dunes" | "ground";

/** One layer of the landscape. Lengths are shares of the picture's height. */
export interface Layer {
  readonly outline: Outline;
  readonly seed: number;
  /** Mean height of its upper edge, from the top of the picture. */
  readonly y: number;
  readonly amplitude: number;
  /** Bumps over a width equal to the picture's height. */
  readonly frequency: number;
  /** Colours from its upper edge downwards. */
  readonly colours: readonly Rgb[];
  /** Colour of lit windows, if there are any. */
  readonly windows?: Rgb;
  /** Colour of snow on the peaks, if there is any. */
  readonly caps?: Rgb;
}

/** The disc of sun, moon or planet, and the light around it. */
export interface Disc {
  /** Middle, as shares of width and height. */
  readonly x: number;
  readonly y: number;
  /** Radius as a share of the height. */
  readonly radius: number;
  readonly colour: Rgb;
  readonly glow: Rgb;
  /** Strength of the glow, 0 to 1. */
  readonly strength: number;
  readonly kind: "sun" | "moon" | "planet";
}

/** Small things in the air. */
export interface Particles {
  readonly kind: "snow" | "rain" | "embers" | "petals" | "fireflies";
  readonly colour: Rgb;
  readonly count: number;
  readonly seed: number;
}

/** Everything that is in a picture, whatever its size in pixels. Painted in the order of the fields. */
export interface Scene {
  /** Seed of what is drawn by chance and is no part of the composition: clouds, stars, ripples. */
  readonly detailSeed: number;
  /** Colours of the sky, from the top to the horizon. */
  readonly sky: readonly Rgb[];
  /** Height of the horizon as a share of the picture's. */
  readonly horizon: number;
  /** Density of the stars, 0 to 1. */
  readonly stars: number;
  /** Colours of northern lights or of a nebula; empty if there are none. */
  readonly veils: readonly Rgb[];
  readonly veilKind: "aurora" | "nebula";
  readonly disc: Disc | undefined;
  /** How much of the sky is clouded, 0 to 1, with the colours of the lit and of the shaded side. */
  readonly clouds: number;
  readonly cloudColours: readonly [Rgb, Rgb];
  readonly birds: number;
  readonly balloon: readonly Rgb[] | undefined;
  readonly layers: readonly Layer[];
  /** Colour that the water is tinted with, if there is water below the horizon. */
  readonly water: Rgb | undefined;
  readonly boat: readonly Rgb[] | undefined;
  /** The ground that is nearest to the onlooker, if it is not all water. */
  readonly ground: Layer | undefined;
  readonly groundKind: "snow" | "grass" | "sand" | "rock";
  readonly flowers: readonly Rgb[];
  readonly animal: Animal | undefined;
  readonly animalColour: Rgb | undefined;
  readonly particles: Particles | undefined;
  /** Colour of the light, for what stands in it. */
  readonly light: Rgb;
}
