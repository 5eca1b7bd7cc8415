import type { Canvas, Work } from "./canvas.ts";
import { mix } from "./colour.ts";
import { coatOf, paintFigure } from "./figure.ts";
import { createRandom } from "./random.ts";
import type { Scene } from "./scene.ts";
import { fillPolygons, type Polygon } from "./shape.ts";
import { BLACK, ellipse, flat, splat, WHITE } from "./strokes.ts";

/** Seats the animal on the ground, with its shadow away from the light. */
export function* paintAnimal(scene: Scene, canvas: Canvas): Work {
  if (!scene.animal) {
    return;
  }
  const { width, height } = canvas;
  const size = Math.min(height * 0.5, width * 0.62);
  const sunLeft = (scene.disc?.x ?? 0.3) < 0.5;
  const seat = { x: width * (sunLeft ? 0.55 : 0.45), y: height * 0.925, height: size, mirrored: !sunLeft };
  const shadow = mix(scene.ground?.colours.at(-1) ?? BLACK, [38, 52, 104], 0.55);
  const side = sunLeft ? 1 : -1;
  for (let i = 0; i < 7; i++) {
    const reach = 0.64 - i * 0.06;
    const blot = ellipse(
      seat.x + side * size * reach * 0.3,
      seat.y - size * 0.004,
      size * reach,
      size * reach * 0.13,
      36,
    );
    yield* fillPolygons(canvas, [blot], flat(shadow, 0.05 + i * 0.012));
  }
  yield* paintFigure(canvas, scene.animal, seat, coatOf(scene.animal, scene.animalColour, scene.light, 0.06));
  if (scene.groundKind === "snow" && scene.ground) {
    // Some snow in front, so that it sits in it and not on it.
    const snow = mix(scene.ground.colours[0] ?? WHITE, scene.ground.colours.at(-1) ?? WHITE, 0.35);
    for (let i = 0; i < 8; i++) {
      const reach = 0.46 - i * 0.035;
      const drift = ellipse(seat.x, seat.y + size * 0.024, size * reach, size * 0.16 * reach, 40);
      yield* fillPolygons(canvas, [drift], flat(snow, 0.16 + i * 0.03));
    }
  }
}

/** Fills the air with snow, rain, embers, petals or fireflies. */
export function* paintParticles(scene: Scene, canvas: Canvas): Work {
  const particles = scene.particles;
  if (!particles) {
    return;
  }
  const { width, height } = canvas;
  const random = createRandom(particles.seed);
  const count = Math.round(particles.count * Math.max(0.5, width / height));
  const glowing = particles.kind === "embers" || particles.kind === "fireflies";
  const groups: Polygon[][] = [[], [], []];
  for (let i = 0; i < count; i++) {
    const x = random() * width;
    const y = (glowing ? 0.3 + 0.7 * random() ** 0.7 : random()) * height;
    const near = random() ** 2.2;
    const size = height * (0.0016 + near * 0.0058);
    if (glowing) {
      splat(canvas, x, y, Math.max(0.5, size * 1.1), particles.colour, 0.5 + 0.5 * near);
      splat(canvas, x, y, Math.max(0.8, size * 4), particles.colour, 0.12);
    } else {
      groups[Math.min(2, Math.floor(near * 3))]?.push(particle(particles.kind, x, y, size, random()));
    }
  }
  for (const [i, group] of groups.entries()) {
    yield* fillPolygons(canvas, group, flat(particles.colour, [0.75, 0.62, 0.5][i] ?? 0.5));
  }
}

function particle(
  kind: "snow" | "rain" | "petals" | string,
  x: number,
  y: number,
  size: number,
  turn: number,
): Polygon {
  if (kind === "rain") {
    const length = size * 9;
    return [
      x,
      y,
      x + size * 0.28,
      y,
      x - length * 0.18 + size * 0.28,
      y + length,
      x - length * 0.18,
      y + length,
    ];
  }
  if (kind === "petals") {
    const c = Math.cos(turn * 6.28) * size * 1.7;
    const s = Math.sin(turn * 6.28) * size * 1.7;
    return [x + c, y + s, x - s * 0.5, y + c * 0.5, x - c, y - s, x + s * 0.5, y - c * 0.5];
  }
  return ellipse(x, y, size, size, size < 1 ? 5 : 10);
}
