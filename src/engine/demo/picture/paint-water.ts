import { blend, type Canvas, eachRow, glow, type Work } from "./canvas.ts";
import { lighten, type Rgb } from "./colour.ts";
import { createField } from "./field.ts";
import { between, createRandom, hashPair } from "./random.ts";
import type { Scene } from "./scene.ts";
import { fillPolygons } from "./shape.ts";
import { BLACK, ellipse, flat, gradientFill, WHITE } from "./strokes.ts";

/** Mirrors what is above the horizon, broken by ripples that widen towards the onlooker. */
export function* paintWater(scene: Scene, tint: Rgb, canvas: Canvas): Work {
  const { width, height, pixels } = canvas;
  const field = createField(scene.detailSeed + 41, 8, 4);
  const horizon = Math.round(scene.horizon * height);
  const depth = height - horizon;
  const disc = scene.disc;
  yield* eachRow(canvas, horizon, height, (y) => {
    const near = (y - horizon) / depth;
    const stretch = 0.12 + near * 0.9;
    const row = Math.log2(1 + near * 14) * 0.9;
    const track = disc ? 0.03 + near * 0.1 : 0;
    for (let x = 0; x < width; x++) {
      const u = (x / height - 0.5 * (width / height)) / stretch;
      const ripple = field.at(u * 0.16, row) - 0.5;
      const fromX = Math.min(width - 1, Math.max(0, Math.round(x + ripple * near * height * 0.03)));
      const above = horizon - 1 - (y - horizon) * 0.85 - ripple * (0.015 + near * 0.16) * height;
      const fromY = Math.min(horizon - 1, Math.max(0, Math.round(above)));
      const from = (fromY * width + fromX) * 3;
      const index = (y * width + x) * 3;
      pixels[index] = pixels[from] ?? 0;
      pixels[index + 1] = pixels[from + 1] ?? 0;
      pixels[index + 2] = pixels[from + 2] ?? 0;
      blend(pixels, index, tint, 0.2 + 0.38 * near + Math.max(0, -ripple) * 0.35);
      if (disc) {
        const off = Math.abs(x / width - disc.x) / track;
        const sparkle = Math.max(0, ripple + 0.22 - off * 0.22) * 2.1;
        glow(pixels, index, disc.glow, Math.min(0.9, sparkle * (1 - near * 0.45)));
      }
    }
  });
}

/** Puts a sailing boat on the water, if there is one. */
export function* paintBoat(scene: Scene, canvas: Canvas): Work {
  if (!scene.boat) {
    return;
  }
  const { width, height } = canvas;
  const [sail = WHITE, hull = BLACK] = scene.boat;
  const random = createRandom(hashPair(scene.detailSeed, 51));
  const x = between(random, 0.38, 0.62) * width;
  const y = (scene.horizon + 0.06) * height;
  const s = height * 0.15;
  yield* fillPolygons(canvas, [ellipse(x, y + s * 0.03, s * 0.62, s * 0.05, 24)], flat(hull, 0.3));
  yield* fillPolygons(
    canvas,
    [[x - s * 0.03, y - s * 0.14, x - s * 0.03, y - s * 1.15, x - s * 0.52, y - s * 0.2]],
    gradientFill([lighten(sail, 0.02), lighten(sail, -0.1)], y - s * 1.2, y - s * 0.1),
  );
  yield* fillPolygons(
    canvas,
    [[x + s * 0.03, y - s * 0.16, x + s * 0.03, y - s * 1.02, x + s * 0.4, y - s * 0.22]],
    gradientFill([lighten(sail, -0.03), lighten(sail, -0.16)], y - s * 1.1, y - s * 0.1),
  );
  yield* fillPolygons(
    canvas,
    [
      [
        x - s * 0.58,
        y - s * 0.13,
        x + s * 0.55,
        y - s * 0.13,
        x + s * 0.38,
        y + s * 0.05,
        x - s * 0.42,
        y + s * 0.05,
      ],
    ],
    gradientFill([hull, lighten(hull, -0.1)], y - s * 0.13, y + s * 0.05),
  );
}
