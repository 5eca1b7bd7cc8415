import { expect, it } from "vitest";
import { buildInputImage, buildPicture } from "../../test/support/generations.ts";
import { hashGraph } from "./graph-hash.ts";
import { imageParameters } from "./image-parameters.ts";

const facts = { seed: 2n ** 64n - 1n, widthPx: 1_024, heightPx: 768 };

it("says how a picture was made, as other tools write it", () => {
  const task = buildPicture({
    prompt: "a red fox\nin the snow",
    negativePrompt: "mud",
    model: "sd/dream: v1.safetensors",
    clipSkip: 2,
    denoise: 0.6,
    vae: "kl.pt",
    loras: [
      { name: "film.safetensors", modelStrength: 0.8, clipStrength: 0.5 },
      { name: "ink.safetensors", modelStrength: 1, clipStrength: 1 },
    ],
    start: { type: "imageToImage", image: buildInputImage(), resize: "crop" },
  });
  expect(imageParameters(task, {}, facts)).toBe(
    [
      "a red fox\nin the snow",
      "Negative prompt: mud",
      "Steps: 20, Sampler: euler, Schedule type: normal, CFG scale: 7.5, Denoising strength: 0.6, " +
        'Seed: 18446744073709551615, Size: 1024x768, Model: "dream: v1", VAE: kl, Clip skip: 2, ' +
        'LoRAs: "film: 0.8, ink: 1", Mode: img2img, Version: ComfyRPC',
    ].join("\n"),
  );
});

it("names a workflow by its hash, and nothing that stands in it", () => {
  const graph = { "1": { class_type: "SaveImage", inputs: { secret: "word" } } };
  const parameters = imageParameters({ type: "workflow", json: '{"secret":"word"}', images: {} }, graph, {
    widthPx: 8,
    heightPx: 8,
  });
  expect(parameters).toBe(`Size: 8x8, Workflow hash: ${hashGraph(graph)}, Version: ComfyRPC`);
});
