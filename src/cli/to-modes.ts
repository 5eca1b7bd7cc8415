import { readImageArgument } from "./image-argument.ts";
import {
  enumValue,
  hiresMethods,
  inpaintMethods,
  modelFamilies,
  preprocessors,
  resizes,
  weightTypes,
} from "./mode-names.ts";
import type { ModeFlags } from "./mode-options.ts";
import type { SpecFields } from "./picture-options.ts";
import { toUpscale, wantsUpscale } from "./upscale-options.ts";
import { UsageError } from "./usage-error.ts";

/**
 * The part of a spec that says what to do beside drawing from nothing. Reads the images that are files.
 *
 * @throws UsageError if a file cannot be read, or an option only matters beside one that was not given
 */
export async function toModes(flags: ModeFlags): Promise<SpecFields> {
  assertCompany(flags);
  const [start, controlNets] = [await toStart(flags), await toControlNets(flags.control ?? [])];
  return {
    ...(start && { start }),
    controlNets,
    ...(flags.hires !== undefined && {
      hires: {
        scale: flags.hires === true ? undefined : flags.hires,
        method: enumValue(hiresMethods, flags.hiresMethod),
        scaling: flags.hiresScaling ?? "",
        upscaleModel: flags.hiresModel ?? "",
        steps: flags.hiresSteps,
        denoise: flags.hiresDenoise,
      },
    }),
    ...(wantsUpscale(flags) && { upscale: toUpscale(flags) }),
    ...(flags.refiner && { refiner: { ...flags.refiner, aestheticScore: flags.aestheticScore } }),
    ...(flags.diffusionModel !== undefined && {
      modelFiles: {
        family: enumValue(modelFamilies, flags.family),
        diffusionModel: flags.diffusionModel,
        textEncoders: flags.textEncoder ?? [],
        weightType: enumValue(weightTypes, flags.weightType),
        guidance: flags.guidance,
        shift: flags.shift,
      },
    }),
  };
}

async function toStart(flags: ModeFlags): Promise<SpecFields["start"]> {
  const resize = enumValue(resizes, flags.resize);
  const method = enumValue(inpaintMethods, flags.inpaintMethod);
  if (flags.from !== undefined) {
    return { case: "imageToImage", value: { image: await readImageArgument(flags.from), resize } };
  }
  if (flags.inpaint !== undefined) {
    return {
      case: "inpaint",
      value: {
        image: await readImageArgument(flags.inpaint),
        ...(flags.mask !== undefined && { mask: await readImageArgument(flags.mask) }),
        invertMask: flags.invertMask,
        growPx: flags.grow,
        featherPx: flags.feather,
        method,
        ...(flags.redrawAll && { keepUnmasked: false }),
        resize,
      },
    };
  }
  if (flags.outpaint !== undefined) {
    const [leftPx, topPx, rightPx, bottomPx] = flags.extend ?? [0, 0, 0, 0];
    return {
      case: "outpaint",
      value: {
        image: await readImageArgument(flags.outpaint),
        leftPx,
        topPx,
        rightPx,
        bottomPx,
        featherPx: flags.feather,
        method,
        ...(flags.redrawAll && { keepOriginal: false }),
      },
    };
  }
  return undefined;
}

async function toControlNets(values: NonNullable<ModeFlags["control"]>) {
  const nets: NonNullable<SpecFields["controlNets"]> = [];
  for (const { image, preprocessor, ...net } of values) {
    nets.push({
      ...net,
      image: await readImageArgument(image),
      preprocessor: enumValue(preprocessors, preprocessor),
    });
  }
  return nets;
}

/** An option that would have no effect without another one is a mistake: better told than passed over. */
function assertCompany(flags: ModeFlags): void {
  const masked = flags.inpaint !== undefined;
  const partly = masked || flags.outpaint !== undefined;
  const files = flags.diffusionModel !== undefined;
  const needs: readonly (readonly [given: boolean, option: string, company: boolean, other: string])[] = [
    [flags.mask !== undefined, "--mask", masked, "--inpaint"],
    [flags.invertMask, "--invert-mask", masked, "--inpaint"],
    [flags.grow !== undefined, "--grow", masked, "--inpaint"],
    [flags.feather !== undefined, "--feather", partly, "--inpaint or --outpaint"],
    [flags.inpaintMethod !== undefined, "--inpaint-method", partly, "--inpaint or --outpaint"],
    [flags.redrawAll, "--redraw-all", partly, "--inpaint or --outpaint"],
    [flags.extend !== undefined, "--extend", flags.outpaint !== undefined, "--outpaint"],
    [flags.hiresMethod !== undefined, "--hires-method", flags.hires !== undefined, "--hires"],
    [flags.hiresScaling !== undefined, "--hires-scaling", flags.hires !== undefined, "--hires"],
    [flags.hiresModel !== undefined, "--hires-model", flags.hires !== undefined, "--hires"],
    [flags.hiresSteps !== undefined, "--hires-steps", flags.hires !== undefined, "--hires"],
    [flags.hiresDenoise !== undefined, "--hires-denoise", flags.hires !== undefined, "--hires"],
    [
      flags.resize !== undefined,
      "--resize",
      flags.from !== undefined || masked || flags.upscaleTo !== undefined,
      "--from, --inpaint or --upscale-to",
    ],
    [flags.upscaleScaling !== undefined, "--upscale-scaling", wantsUpscale(flags), "--upscale"],
    [flags.aestheticScore !== undefined, "--aesthetic-score", flags.refiner !== undefined, "--refiner"],
    [flags.family !== undefined, "--family", files, "--diffusion-model"],
    [flags.textEncoder !== undefined, "--text-encoder", files, "--diffusion-model"],
    [flags.weightType !== undefined, "--weight-type", files, "--diffusion-model"],
    [flags.guidance !== undefined, "--guidance", files, "--diffusion-model"],
    [flags.shift !== undefined, "--shift", files, "--diffusion-model"],
  ];
  for (const [given, option, company, other] of needs) {
    if (given && !company) throw new UsageError(`${option} has no effect without ${other}`);
  }
}
