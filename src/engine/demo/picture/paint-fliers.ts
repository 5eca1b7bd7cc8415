import type { Canvas, Work } from "./canvas.ts";
import { lighten, mix, type Rgb } from "./colour.ts";
import { between, createRandom, hashPair } from "./random.ts";
import type { Scene } from "./scene.ts";
import { fillPolygons, type Polygon } from "./shape.ts";
import { BLACK, ellipse, flat, gradientFill, WHITE } from "./strokes.ts";

/** Puts birds and a balloon into the sky, if there are any. */
export function* paintFliers(scene: Scene, canvas: Canvas): Work {
  const { width, height } = canvas;
  const random = createRandom(hashPair(scene.detailSeed, 31));
  const flock: Polygon[] = [];
  const x0 = between(random, 0.3, 0.6) * width;
  const y0 = between(random, 0.2, 0.32) * height;
  for (let i = 0; i < scene.birds; i++) {
    const size = height * between(random, 0.012, 0.024);
    flock.push(
      ...bird(
        x0 + between(random, -0.16, 0.16) * width,
        y0 + between(random, -0.09, 0.09) * height,
        size,
        random(),
      ),
    );
  }
  if (flock.length > 0) {
    yield* fillPolygons(canvas, flock, flat(mix(scene.sky[0] ?? BLACK, BLACK, 0.55), 0.85));
  }
  if (scene.balloon) {
    yield* paintBalloon(scene.balloon, canvas, random() < 0.5 ? 0.3 : 0.7);
  }
}

function bird(x: number, y: number, size: number, beat: number): Polygon[] {
  const lift = size * (0.25 + beat * 0.45);
  const wing = (side: number): Polygon => [
    x,
    y,
    x + side * size * 0.5,
    y - lift,
    x + side * size,
    y - lift * 0.45,
    x + side * size * 0.5,
    y - lift + size * 0.14,
    x,
    y + size * 0.13,
  ];
  return [wing(1), wing(-1)];
}

function* paintBalloon(colours: readonly Rgb[], canvas: Canvas, at: number): Work {
  const { width, height } = canvas;
  const [main = WHITE, second = WHITE] = colours;
  const size = height * 0.13;
  const x = at * width;
  const y = height * 0.3;
  const envelope = (reach: number): Polygon => {
    const points = ellipse(x, y, size * reach, size, 40);
    return points.map((value, i) => {
      const row = points[i | 1] ?? 0;
      // The lower half narrows towards the basket.
      const squeeze = row > y ? 1 - ((row - y) / size) ** 2 * 0.72 : 1;
      return i % 2 === 0 ? x + (value - x) * squeeze : row > y ? y + (value - y) * 1.25 : value;
    });
  };
  const paints = [main, second, main, second] as const;
  for (const [i, reach] of [1, 0.72, 0.44, 0.16].entries()) {
    const colour = paints[i] ?? main;
    yield* fillPolygons(
      canvas,
      [envelope(reach)],
      gradientFill([lighten(colour, 0.05), lighten(colour, -0.12)], y - size, y + size),
    );
  }
  const basket = [
    x - size * 0.13,
    y + size * 1.42,
    x + size * 0.13,
    y + size * 1.42,
    x + size * 0.1,
    y + size * 1.62,
    x - size * 0.1,
    y + size * 1.62,
  ];
  yield* fillPolygons(canvas, [basket], flat([96, 62, 40], 1));
}
