import type { Canvas, Work } from "./canvas.ts";
import { paintDisc } from "./paint-disc.ts";
import { paintFliers } from "./paint-fliers.ts";
import { paintAnimal, paintParticles } from "./paint-foreground.ts";
import { paintGround, paintLayer } from "./paint-land.ts";
import { paintAurora, paintClouds, paintNebula, paintSky, paintStars } from "./paint-sky.ts";
import { paintBoat, paintWater } from "./paint-water.ts";
import type { Scene } from "./scene.ts";

/** Paints `scene` on a canvas of any size, from back to front. */
export function* paintScene(scene: Scene, canvas: Canvas): Work {
  yield* paintSky(scene, canvas);
  if (scene.veils.length > 0) {
    yield* scene.veilKind === "aurora" ? paintAurora(scene, canvas) : paintNebula(scene, canvas);
  }
  paintStars(scene, canvas);
  if (scene.disc) {
    yield* paintDisc(scene.disc, canvas);
  }
  if (scene.clouds > 0) {
    yield* paintClouds(scene, canvas);
  }
  yield* paintFliers(scene, canvas);
  for (const layer of scene.layers) {
    yield* paintLayer(layer, canvas);
  }
  if (scene.water) {
    yield* paintWater(scene, scene.water, canvas);
  }
  yield* paintBoat(scene, canvas);
  if (scene.ground) {
    yield* paintGround(scene, scene.ground, canvas);
  }
  yield* paintAnimal(scene, canvas);
  yield* paintParticles(scene, canvas);
}
