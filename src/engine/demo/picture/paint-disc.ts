import { type Canvas, eachRow, glow, type Work } from "./canvas.ts";
import { gradientTable, lighten, mix } from "./colour.ts";
import { createField } from "./field.ts";
import type { Disc } from "./scene.ts";
import { fillPolygons } from "./shape.ts";
import { ellipse, flat, WHITE } from "./strokes.ts";

/** Paints sun, moon or planet, and the light around it. */
export function* paintDisc(disc: Disc, canvas: Canvas): Work {
  const { width, height, pixels } = canvas;
  const cx = disc.x * width;
  const cy = disc.y * height;
  const radius = disc.radius * height;
  const scale = 1 / (radius * radius);
  yield* eachRow(canvas, 0, height, (y) => {
    const dy = y + 0.5 - cy;
    for (let x = 0; x < width; x++) {
      const dx = x + 0.5 - cx;
      const distance = (dx * dx + dy * dy) * scale;
      const share = disc.strength / (1 + distance * 0.16) - disc.strength * 0.012;
      if (share > 0.004) {
        glow(pixels, (y * width + x) * 3, disc.glow, share);
      }
    }
  });
  const circle = ellipse(cx, cy, radius, radius, 48);
  const dark = disc.kind === "planet" ? -0.18 : disc.kind === "moon" ? -0.03 : 0;
  yield* fillPolygons(canvas, [circle], {
    table: gradientTable(
      [disc.colour, mix(disc.colour, lighten(disc.glow, dark), disc.kind === "sun" ? 0.15 : 0.5)],
      64,
    ),
    top: cy - radius,
    bottom: cy + radius,
    opacity: 1,
    ...(disc.kind === "sun" ? {} : { shade: surface(disc, radius, cx, cy) }),
  });
  if (disc.kind === "planet") {
    yield* paintRing(disc, canvas, cx, cy, radius);
  }
}

/** Craters of a moon, bands and night side of a planet. */
function surface(disc: Disc, radius: number, cx: number, cy: number): (x: number, y: number) => number {
  const field = createField(disc.kind === "moon" ? 4711 : 815, 4, 3);
  if (disc.kind === "moon") {
    return (x, y) => 1.03 - 0.16 * Math.max(0, field.at((x - cx) / radius / 4, (y - cy) / radius / 4) - 0.45);
  }
  return (x, y) => {
    const u = (x - cx) / radius;
    const v = (y - cy) / radius;
    const bands = 0.9 + 0.22 * field.at(u * 0.06, v * 0.45 + u * 0.1);
    const lit = Math.min(1, Math.max(0, 0.75 - 0.55 * (u * 0.75 + v * 0.65)));
    return bands * (0.25 + 0.85 * lit);
  };
}

function* paintRing(disc: Disc, canvas: Canvas, cx: number, cy: number, radius: number): Work {
  for (const [outer, inner, opacity] of [
    [1.95, 1.62, 0.5],
    [1.55, 1.4, 0.3],
  ] as const) {
    const points: number[] = [];
    // The lower half only: the upper one is behind the planet.
    for (let i = 0; i <= 40; i++) {
      const angle = (i / 40) * Math.PI * 1.12 - 0.06 * Math.PI;
      points.push(
        ...tilted(cx, cy, Math.cos(angle) * radius * outer, Math.sin(angle) * radius * outer * 0.26),
      );
    }
    for (let i = 40; i >= 0; i--) {
      const angle = (i / 40) * Math.PI * 1.12 - 0.06 * Math.PI;
      points.push(
        ...tilted(cx, cy, Math.cos(angle) * radius * inner, Math.sin(angle) * radius * inner * 0.26),
      );
    }
    yield* fillPolygons(canvas, [points], flat(mix(disc.colour, WHITE, 0.5), opacity));
  }
}

function tilted(cx: number, cy: number, x: number, y: number): readonly [number, number] {
  return [cx + x * 0.96 + y * 0.28, cy + y * 0.96 - x * 0.28];
}
