import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { ControlNetPreprocessor } from "../../gen/comfyrpc/v1/control_net_pb.js";
import type { GenerationSpec } from "../../gen/comfyrpc/v1/generation_pb.js";
import { Resize } from "../../gen/comfyrpc/v1/image_input_pb.js";
import { ModelFamily, WeightType } from "../../gen/comfyrpc/v1/model_files_pb.js";
import { InpaintMethod } from "../../gen/comfyrpc/v1/start_image_pb.js";
import { HiresMethod } from "../../gen/comfyrpc/v1/upscale_pb.js";
import { onStage } from "./testing/on-stage.ts";
import { jobEvents } from "./testing/staged-events.ts";
import type { StagedMethods } from "./testing/staged-service.ts";

const picture = Buffer.from("not really a picture");

it("sends every mode to the service", async () => {
  const specs: (GenerationSpec | undefined)[] = [];
  const generateWithProgress: StagedMethods["generateWithProgress"] = async function* ({ spec }) {
    specs.push(spec);
    yield* jobEvents(picture);
  };
  const id = "ab".repeat(32);
  const data = { source: { case: "data", value: new Uint8Array(Buffer.from("bytes")) } };
  await onStage({ generateWithProgress }, async ({ directory, run }) => {
    const file = join(directory.path, "photo.png");
    await writeFile(file, "bytes");
    const inpaint =
      `--inpaint ${file} --mask ${id} --invert-mask --grow 0 --feather 4 --inpaint-method hard --redraw-all ` +
      "--resize stretch --upscale-to 2048x --upscale-model 4x.pth --upscale-scaling area " +
      `--control model=c,image=${file},strength=0.5,start=0.1,end=0.9,preprocessor=canny ` +
      `--control image=https://example.com/a.png,model=d --refiner r:0.7 --aesthetic-score 6`;
    const outpaint =
      `--outpaint ${id} --extend 0,8,16,24 --feather 100 --diffusion-model flux --vae v --family qwen-image ` +
      "--text-encoder a --text-encoder b --weight-type fp8_e5m2 --guidance 3 --shift 2 --upscale 1.5";
    const hires = `--from ${file} --hires 1.5 --hires-method latent --hires-scaling bicubic --hires-model m --hires-steps 7 --hires-denoise 0.3`;
    for (const flags of [inpaint, outpaint, hires]) {
      const { exitCode, err } = await run(generateWith(flags, directory.path));
      expect(exitCode, err).toBe(0);
    }
  });
  expect(specs[0]).toMatchObject({
    start: {
      case: "inpaint",
      value: {
        image: data,
        mask: { source: { case: "assetId", value: id } },
        invertMask: true,
        growPx: 0,
        featherPx: 4,
        method: InpaintMethod.HARD,
        keepUnmasked: false,
        resize: Resize.STRETCH,
      },
    },
    upscale: { widthPx: 2048, model: "4x.pth", scaling: "area", resize: Resize.STRETCH },
    controlNets: [
      {
        model: "c",
        image: data,
        strength: 0.5,
        start: 0.1,
        end: 0.9,
        preprocessor: ControlNetPreprocessor.CANNY,
      },
      { model: "d", image: { source: { case: "url", value: "https://example.com/a.png" } } },
    ],
    refiner: { model: "r", switchAt: 0.7, aestheticScore: 6 },
  });
  expect(specs[1]).toMatchObject({
    start: { case: "outpaint", value: { leftPx: 0, topPx: 8, rightPx: 16, bottomPx: 24, featherPx: 100 } },
    modelFiles: {
      family: ModelFamily.QWEN_IMAGE,
      diffusionModel: "flux",
      textEncoders: ["a", "b"],
      weightType: WeightType.FP8_E5M2,
      guidance: 3,
      shift: 2,
    },
    vae: "v",
    upscale: { factor: 1.5 },
  });
  expect(specs[2]).toMatchObject({
    start: { case: "imageToImage", value: { image: data } },
    hires: {
      scale: 1.5,
      method: HiresMethod.LATENT,
      scaling: "bicubic",
      upscaleModel: "m",
      steps: 7,
      denoise: 0.3,
    },
  });
});

it.each([
  ["--mask a.png", "--mask has no effect without --inpaint"],
  ["--resize crop", "--resize has no effect without --from, --inpaint or --upscale-to"],
  ["--from /does/not/exist.png", "cannot read /does/not/exist.png"],
  ["--from a.png --inpaint b.png", "cannot be used with"],
  ["--control model=a", "Write it as model=NAME,image=FILE"],
  ["--control model=a,image=b,strenth=1", "Write it as model=NAME,image=FILE"],
  ["--extend 1,2,3", "Write it as LEFT,TOP,RIGHT,BOTTOM"],
  ["--upscale-to x", "Write it as WIDTHxHEIGHT"],
])("refuses %s before the service is asked", async (flags, text) => {
  await onStage({}, async ({ directory, run }) => {
    const { exitCode, err } = await run(generateWith(flags, directory.path));
    expect(exitCode).toBe(2);
    expect(err).toContain(text);
  });
});

function generateWith(flags: string, directory: string): string[] {
  return ["generate", "a red fox", "--out", directory, ...flags.split(" ")];
}
