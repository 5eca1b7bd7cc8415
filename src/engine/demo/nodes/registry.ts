import { audio } from "./audio.ts";
import { conditioning } from "./conditioning.ts";
import { conditioningPictures } from "./conditioning-pictures.ts";
import { control } from "./control.ts";
import { customSampling } from "./custom-sampling.ts";
import { emptyLatents } from "./empty-latents.ts";
import { image } from "./image.ts";
import { imageBlend } from "./image-blend.ts";
import { imageScaling } from "./image-scaling.ts";
import { latent } from "./latent.ts";
import { latentFiles } from "./latent-files.ts";
import { loadImage } from "./load-image.ts";
import { loaders } from "./loaders.ts";
import { mask } from "./mask.ts";
import { modelSampling } from "./model-sampling.ts";
import type { NodeDefinition } from "./node.ts";
import { plainValues } from "./plain-values.ts";
import { sampling } from "./sampling.ts";
import { save } from "./save.ts";
import { saveAnimation } from "./save-animation.ts";
import { show } from "./show.ts";
import { splitLoaders } from "./split-loaders.ts";
import { textEncoders } from "./text-encoders.ts";
import { vae } from "./vae.ts";

/** All node classes by name. */
export const nodeClasses: ReadonlyMap<string, NodeDefinition> = new Map(
  [
    ...sampling,
    ...loaders,
    ...splitLoaders,
    ...conditioning,
    ...vae,
    ...emptyLatents,
    ...latent,
    ...loadImage,
    ...image,
    ...imageBlend,
    ...imageScaling,
    ...mask,
    ...customSampling,
    ...modelSampling,
    ...textEncoders,
    ...control,
    ...conditioningPictures,
    ...save,
    ...saveAnimation,
    ...latentFiles,
    ...audio,
    ...show,
    ...plainValues,
  ].map((node) => [node.classType, node]),
);
