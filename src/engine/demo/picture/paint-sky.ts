import { blend, type Canvas, eachRow, glow, type Work } from "./canvas.ts";
import { gradientTable, mix, type Rgb } from "./colour.ts";
import { createField, waves } from "./field.ts";
import { createRandom, hashPair } from "./random.ts";
import type { Scene } from "./scene.ts";
import { splat, WHITE } from "./strokes.ts";

/** Fills the canvas with the colours of the sky. */
export function* paintSky(scene: Scene, canvas: Canvas): Work {
  const { width, height, pixels } = canvas;
  const size = Math.min(256, height);
  const table = gradientTable(scene.sky, size);
  const perRow = size / (scene.horizon * height);
  yield* eachRow(canvas, 0, height, (y) => {
    const entry = Math.min(size - 1, Math.floor(y * perRow)) * 3;
    const r = table[entry] ?? 0;
    const g = table[entry + 1] ?? 0;
    const b = table[entry + 2] ?? 0;
    for (let index = y * width * 3, end = index + width * 3; index < end; index += 3) {
      pixels[index] = r;
      pixels[index + 1] = g;
      pixels[index + 2] = b;
    }
  });
}

/** Lays curtains of northern lights over the sky: sharp below, fading upwards. */
export function* paintAurora(scene: Scene, canvas: Canvas): Work {
  const { width, height, pixels } = canvas;
  const [low = WHITE, high = WHITE] = scene.veils;
  const table = gradientTable([low, mix(low, high, 0.5), high], 64);
  for (const curtain of [0, 1]) {
    const seed = hashPair(scene.detailSeed, 500 + curtain);
    const foot = new Float32Array(width);
    const strength = new Float32Array(width);
    for (let x = 0; x < width; x++) {
      const u = x / height;
      foot[x] = 0.34 - curtain * 0.1 + 0.1 * waves(seed, u * 1.3, 2);
      strength[x] = (0.5 + 0.5 * waves(seed + 1, u * 2.3, 2)) * (0.75 + 0.25 * waves(seed + 2, u * 22, 2));
    }
    yield* eachRow(canvas, 0, scene.horizon * height, (y) => {
      const v = y / height;
      for (let x = 0; x < width; x++) {
        const rise = ((foot[x] ?? 0) - v) / 0.3;
        if (rise > -0.08 && rise < 1) {
          const shape = rise < 0 ? 1 + rise / 0.08 : (1 - rise) ** 1.6;
          const entry = Math.floor(Math.max(0, rise) * 63) * 3;
          const colour: Rgb = [table[entry] ?? 0, table[entry + 1] ?? 0, table[entry + 2] ?? 0];
          glow(pixels, (y * width + x) * 3, colour, shape * (strength[x] ?? 0) * (0.85 - curtain * 0.3));
        }
      }
    });
  }
}

/** Lays glowing clouds of gas over the sky, densest along a slanting band. */
export function* paintNebula(scene: Scene, canvas: Canvas): Work {
  const { width, height, pixels } = canvas;
  const bend = createField(scene.detailSeed + 1, 4, 3);
  const cloud = createField(scene.detailSeed + 2, 4, 5);
  const [first = WHITE, second = WHITE, third = WHITE] = scene.veils;
  yield* eachRow(canvas, 0, height, (y) => {
    const v = y / height;
    for (let x = 0; x < width; x++) {
      const u = x / height;
      const warp = bend.at(u * 0.5, v * 0.5);
      const density = cloud.at(u * 0.45 + warp * 0.35, v * 0.6 - warp * 0.3);
      const band = Math.max(0, 1 - Math.abs(v - 0.35 - 0.25 * (u - 0.5) - 0.3 * (warp - 0.5)) * 2.2);
      const light = density * density * band;
      const index = (y * width + x) * 3;
      glow(pixels, index, first, light * 1.1);
      glow(pixels, index, second, density * (1 - density) * 0.55 * (0.3 + band));
      glow(pixels, index, third, light * light * 1.2);
    }
  });
}

/** Scatters stars over the sky, denser towards the top. */
export function paintStars(scene: Scene, canvas: Canvas): void {
  const { width, height } = canvas;
  const random = createRandom(hashPair(scene.detailSeed, 11));
  const count = Math.round(scene.stars * 420 * (width / height));
  for (let i = 0; i < count; i++) {
    const x = random() * width;
    const y = random() ** 1.25 * scene.horizon * height * 0.98;
    const size = random() ** 6;
    const colour: Rgb = random() < 0.3 ? [255, 226, 190] : [214, 228, 255];
    splat(canvas, x, y, Math.max(0.5, (height / 512) * (0.55 + size * 1.3)), colour, 0.35 + 0.65 * size);
  }
}

/** Lays clouds over the sky, flatter towards the horizon. */
export function* paintClouds(scene: Scene, canvas: Canvas): Work {
  const { width, height, pixels } = canvas;
  const field = createField(scene.detailSeed + 21, 4, 4);
  const [lit, shade] = scene.cloudColours;
  const threshold = 0.78 - scene.clouds * 0.42;
  const bottom = scene.horizon * height;
  yield* eachRow(canvas, 0, bottom, (y) => {
    const v = y / bottom;
    const flatten = 0.55 + v * 1.5;
    const row = v * flatten * 1.1;
    const fade = Math.min(1, (1.02 - v) * 3) * 0.85;
    for (let x = 0; x < width; x++) {
      const u = (x / height) * 0.42;
      const density = field.at(u, row);
      const share = Math.min(1, Math.max(0, (density - threshold) * 3.2));
      if (share > 0) {
        const light = Math.min(1, Math.max(0, 0.55 + (density - field.at(u + 0.012, row - 0.035)) * 5));
        const index = (y * width + x) * 3;
        const colour: Rgb = [
          shade[0] + (lit[0] - shade[0]) * light,
          shade[1] + (lit[1] - shade[1]) * light,
          shade[2] + (lit[2] - shade[2]) * light,
        ];
        blend(pixels, index, colour, share * (2 - share) * fade * (0.35 + 0.5 * scene.clouds));
      }
    }
  });
}
