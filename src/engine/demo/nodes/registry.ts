import { conditioning } from "./conditioning.ts";
import { image } from "./image.ts";
import { latent } from "./latent.ts";
import { loaders } from "./loaders.ts";
import type { NodeDefinition } from "./node.ts";
import { sampling } from "./sampling.ts";
import { save } from "./save.ts";
import { splitLoaders } from "./split-loaders.ts";

/** All node classes by name. */
export const nodeClasses: ReadonlyMap<string, NodeDefinition> = new Map(
  [...sampling, ...loaders, ...splitLoaders, ...conditioning, ...latent, ...image, ...save].map((node) => [
    node.classType,
    node,
  ]),
);
