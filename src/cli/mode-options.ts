import { InvalidArgumentError, Option } from "commander";
import { z } from "zod";
import { parseControlNet } from "./control-net-value.ts";
import { imageArgumentHelp } from "./image-argument.ts";
import { hiresMethods, inpaintMethods, modelFamilies, weightTypes } from "./mode-names.ts";
import { repeatable } from "./option-groups.ts";
import { parseNumber, parseWholeNumber } from "./option-values.ts";
import { resizeOption, UpscaleFlags, upscaleOptions } from "./upscale-options.ts";

/** The options that say what to do beside drawing from nothing, to be read by {@link ModeFlags}. */
export function modeOptions(): Option[] {
  return [
    new Option("--from <image>", `draw over this image: ${imageArgumentHelp}`),
    new Option(
      "--inpaint <image>",
      "draw a part of this image anew: what --mask says, or what is transparent",
    ).conflicts(["from"]),
    new Option("--mask <image>", "white is drawn anew, black is kept"),
    new Option("--invert-mask", "draw what the mask says to keep, and keep the rest"),
    new Option("--grow <px>", "grow the mask on every side, 0 to 64 (default: 6)").argParser(
      parseWholeNumber,
    ),
    new Option(
      "--feather <px>",
      "fade the edge of the mask, 0 to 31, or of an outpainted image, 0 to 1024",
    ).argParser(parseWholeNumber),
    new Option("--inpaint-method <name>", "how a part is drawn (default: soft; hard for --outpaint)").choices(
      Object.keys(inpaintMethods),
    ),
    new Option("--redraw-all", "do not put back what was to be kept, pixel by pixel"),
    new Option("--outpaint <image>", "draw on beyond the edges of this image").conflicts(["from", "inpaint"]),
    new Option("--extend <left,top,right,bottom>", "pixels to add at each side, such as 0,0,256,0").argParser(
      parseMargins,
    ),
    resizeOption(),
    new Option(
      "--control <parts>",
      "ControlNet: model=NAME,image=FILE and, if wanted, strength=0.8, start=0, end=0.6, preprocessor=canny, with commas between; may be given again",
    ).argParser(repeatable(parseControlNet)),
    new Option(
      "--hires [factor]",
      "draw a second time, larger by this factor, 1 to 4 (default: 2)",
    ).argParser(parseNumber),
    new Option("--hires-method <what>", "what is scaled for that (default: pixel)").choices(
      Object.keys(hiresMethods),
    ),
    new Option("--hires-scaling <name>", "how it is scaled (default: lanczos, latent bislerp)"),
    new Option("--hires-model <name>", "upscale model for that"),
    new Option("--hires-steps <n>", "steps of the second time, 1 to 150 (default: --steps)").argParser(
      parseWholeNumber,
    ),
    new Option(
      "--hires-denoise <n>",
      "share of noise of the second time, 0 to 1 (default: 0.4, latent 0.5)",
    ).argParser(parseNumber),
    ...upscaleOptions(),
    new Option(
      "--refiner <name[:at]>",
      "checkpoint for the last steps, from this part of them on (default: 0.8)",
    ).argParser(parseRefiner),
    new Option("--aesthetic-score <n>", "how pretty the refiner is told to draw, usually 6").argParser(
      parseNumber,
    ),
    new Option("--family <name>", "kind of a model in several files").choices(Object.keys(modelFamilies)),
    new Option("--diffusion-model <name>", "its diffusion model; its VAE is --vae").conflicts(["model"]),
    new Option("--text-encoder <name>", "its text encoder; give each, in the family's order").argParser(
      repeatable((text) => text),
    ),
    new Option("--weight-type <type>", "how its weights are held in memory").choices(
      Object.keys(weightTypes),
    ),
    new Option("--guidance <n>", "how closely a distilled model follows the prompt").argParser(parseNumber),
    new Option("--shift <n>", "shift of its noise schedule").argParser(parseNumber),
  ];
}

/** What {@link modeOptions} leave in the options of a command. */
export const ModeFlags = z.object({
  ...UpscaleFlags.shape,
  from: z.string().optional(),
  inpaint: z.string().optional(),
  mask: z.string().optional(),
  invertMask: z.boolean().default(false),
  grow: z.number().optional(),
  feather: z.number().optional(),
  inpaintMethod: z.string().optional(),
  redrawAll: z.boolean().default(false),
  outpaint: z.string().optional(),
  extend: z.tuple([z.number(), z.number(), z.number(), z.number()]).optional(),
  control: z
    .array(
      z.object({
        model: z.string(),
        image: z.string(),
        strength: z.number().optional(),
        start: z.number().optional(),
        end: z.number().optional(),
        preprocessor: z.enum(["canny", "invert"]).optional(),
      }),
    )
    .optional(),
  hires: z.union([z.number(), z.literal(true)]).optional(),
  hiresMethod: z.string().optional(),
  hiresScaling: z.string().optional(),
  hiresModel: z.string().optional(),
  hiresSteps: z.number().optional(),
  hiresDenoise: z.number().optional(),
  refiner: z.object({ model: z.string(), switchAt: z.number().optional() }).optional(),
  aestheticScore: z.number().optional(),
  family: z.string().optional(),
  diffusionModel: z.string().optional(),
  textEncoder: z.array(z.string()).optional(),
  weightType: z.string().optional(),
  guidance: z.number().optional(),
  shift: z.number().optional(),
});

export type ModeFlags = z.infer<typeof ModeFlags>;

function parseMargins(text: string): [number, number, number, number] {
  const [left, top, right, bottom, ...more] = text.split(",").map((part) => parseWholeNumber(part.trim()));
  if (
    left === undefined ||
    top === undefined ||
    right === undefined ||
    bottom === undefined ||
    more.length > 0
  ) {
    throw new InvalidArgumentError("Write it as LEFT,TOP,RIGHT,BOTTOM, such as 0,0,256,0.");
  }
  return [left, top, right, bottom];
}

function parseRefiner(text: string): { model: string; switchAt?: number } {
  const [model = "", at, ...more] = text.split(":");
  if (model.trim() === "" || more.length > 0) {
    throw new InvalidArgumentError("Write it as NAME or NAME:0.8.");
  }
  return at === undefined ? { model } : { model, switchAt: parseNumber(at) };
}
