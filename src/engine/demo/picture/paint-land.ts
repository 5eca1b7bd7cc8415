import type { Canvas, Work } from "./canvas.ts";
import { mix } from "./colour.ts";
import { createField, waves } from "./field.ts";
import { edgeOf, outlineOf, towers } from "./outline.ts";
import { between, createRandom, hashPair } from "./random.ts";
import type { Layer, Scene } from "./scene.ts";
import { fillPolygons, type Polygon } from "./shape.ts";
import { ellipse, flat, gradientFill, WHITE } from "./strokes.ts";

/** Paints one layer of the landscape, with the snow and the windows on it. */
export function* paintLayer(layer: Layer, canvas: Canvas): Work {
  const { width, height } = canvas;
  const top = (layer.y - layer.amplitude * (layer.outline === "forest" ? 0.8 : 0.65)) * height;
  const bottom = (layer.y + (layer.outline === "forest" ? 0.06 : 0.14)) * height;
  const fill = gradientFill(layer.colours, top, bottom);
  const relief = layer.outline === "mountains" ? { shade: reliefOf(layer, height) } : {};
  yield* fillPolygons(canvas, outlineOf(layer, width, height), { ...fill, ...relief });
  if (layer.caps) {
    yield* fillPolygons(canvas, caps(layer, width, height), {
      ...gradientFill([layer.caps, mix(layer.caps, layer.colours[0] ?? WHITE, 0.5)], top, bottom),
      ...relief,
    });
  }
  if (layer.windows && height >= 96) {
    yield* fillPolygons(canvas, windows(layer, width, height), flat(layer.windows, 0.85));
  }
}

/** Light and shade on the slopes: they fall away from the ridge to both sides. */
function reliefOf(layer: Layer, height: number): (x: number, y: number) => number {
  const field = createField(layer.seed + 45, 8, 3);
  const edge = edgeOf(layer);
  const slopes = new Map<number, number>();
  const slopeAt = (x: number) => {
    const known = slopes.get(x);
    if (known !== undefined) {
      return known;
    }
    const u = x / height;
    const slope = Math.max(-1, Math.min(1, (edge(u + 0.02) - edge(u - 0.02)) * 12));
    slopes.set(x, slope);
    return slope;
  };
  return (x, y) => {
    const slope = slopeAt(x);
    const u = x / height;
    const v = y / height;
    return 1 + 0.05 * slope + 0.16 * (field.at(u * 0.55 + slope * v * 0.12, v * 0.35) - 0.5);
  };
}

/** The snow on the peaks: from the ridge down to a ragged line. */
function caps(layer: Layer, width: number, height: number): Polygon[] {
  const edge = edgeOf(layer);
  const line = layer.y - layer.amplitude * 0.12;
  const upper: number[] = [];
  const lower: number[] = [];
  const step = Math.max(1, width / 400);
  for (let x = -1; x <= width + step; x += step) {
    const u = x / height;
    const ridge = edge(u);
    const depth =
      Math.max(0, line - ridge) * (0.62 + 0.38 * waves(layer.seed + 40, u * layer.frequency * 9, 2));
    upper.push(x, ridge * height);
    lower.unshift(x, (ridge + depth) * height);
  }
  return [[...upper, ...lower]];
}

function windows(layer: Layer, width: number, height: number): Polygon[] {
  const random = createRandom(layer.seed + 3);
  const size = 0.0052;
  const polygons: Polygon[] = [];
  for (const tower of towers(layer, width, height)) {
    for (let y = tower.top + 0.03; y < layer.y + layer.amplitude * 0.4; y += size * 3) {
      for (let x = tower.left + size * 1.5; x < tower.right - size * 2; x += size * 2.6) {
        if (random() < 0.34) {
          const [l, t] = [x * height, y * height];
          const w = size * height;
          polygons.push([l, t, l + w, t, l + w, t + w * 1.5, l, t + w * 1.5]);
        }
      }
    }
  }
  return polygons;
}

/** Paints the ground in front, its texture wider the nearer it is, and the flowers on it. */
export function* paintGround(scene: Scene, layer: Layer, canvas: Canvas): Work {
  const { width, height } = canvas;
  const field = createField(layer.seed + 61, scene.groundKind === "grass" ? 16 : 8, 3);
  const top = (layer.y - layer.amplitude) * height;
  const [scaleX, scaleY, depth] = GROUND_TEXTURE[scene.groundKind];
  const shade = (x: number, y: number) => {
    const near = Math.max(0.02, (y - top) / (height - top));
    const u = ((x - width / 2) / height) * (scaleX / (0.4 + near));
    return 1 - depth * 0.5 + depth * field.at(u, scaleY * Math.sqrt(near));
  };
  yield* fillPolygons(canvas, outlineOf(layer, width, height), {
    ...gradientFill(layer.colours, top, height),
    shade,
  });
  if (scene.flowers.length > 0) {
    yield* paintFlowers(scene, layer, canvas);
  }
}

/** How often the texture repeats across and down, and how strong it is. */
const GROUND_TEXTURE = {
  snow: [0.35, 0.9, 0.12],
  grass: [2.6, 1.5, 0.3],
  sand: [0.5, 2.2, 0.14],
  rock: [0.9, 1.2, 0.35],
} as const;

function* paintFlowers(scene: Scene, ground: Layer, canvas: Canvas): Work {
  const { width, height } = canvas;
  const random = createRandom(hashPair(scene.detailSeed, 71));
  const groups = scene.flowers.map((): Polygon[] => []);
  const hearts: Polygon[] = [];
  const top = ground.y + 0.01;
  for (let i = 0; i < 420; i++) {
    const near = random() ** 1.5;
    const y = (top + near * (1.02 - top)) * height;
    const x = random() * width;
    const size = height * (0.003 + near * 0.016) * between(random, 0.7, 1.2);
    const group = groups[Math.floor(random() * groups.length)];
    for (let petal = 0; petal < 5; petal++) {
      const angle = (petal / 5) * Math.PI * 2 + i;
      group?.push(
        ellipse(
          x + Math.cos(angle) * size * 0.6,
          y + Math.sin(angle) * size * 0.42,
          size * 0.52,
          size * 0.4,
          7,
        ),
      );
    }
    hearts.push(ellipse(x, y, size * 0.3, size * 0.24, 6));
  }
  for (const [i, group] of groups.entries()) {
    const colour = scene.flowers[i] ?? WHITE;
    yield* fillPolygons(
      canvas,
      group,
      gradientFill([mix(colour, scene.sky.at(-1) ?? WHITE, 0.35), colour], top * height, height),
    );
  }
  yield* fillPolygons(canvas, hearts, flat([250, 205, 80], 0.9));
}
