import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { GraphValue, WorkflowGraph } from "../graph.ts";
import { applyParameters } from "./apply-parameters.ts";
import { defineTemplate, plainValueAt } from "./define-template.ts";
import { linkOf } from "./node-order.ts";
import { proposeParameters } from "./propose-parameters.ts";
import { readParameters } from "./read-parameters.ts";
import { baseAndRefiner, everything, fluxInParts, node, textToImage } from "./testing/graphs.ts";

const graphs = { textToImage, baseAndRefiner, fluxInParts, everything };

describe("proposeParameters", () => {
  it("finds what people set in a picture from a prompt", () => {
    expect(proposed(textToImage)).toEqual({
      prompt: ["text", "a lighthouse", "6.text"],
      negative_prompt: ["text", "watermark", "7.text"],
      width: ["integer", 512, "5.width"],
      height: ["integer", 768, "5.height"],
      batch_size: ["integer", 1, "5.batch_size"],
      steps: ["integer", 20, "3.steps"],
      cfg: ["number", 8, "3.cfg"],
      sampler: ["choice", "euler", "3.sampler_name"],
      scheduler: ["choice", "normal", "3.scheduler"],
      seed: ["seed", undefined, "3.seed"],
      checkpoint: ["choice", "sd15.safetensors", "4.ckpt_name"],
    });
  });

  it("makes one parameter of what belongs together, and none of a seed without effect", () => {
    expect(proposed(baseAndRefiner)).toEqual({
      prompt: ["text", "a fox", "6.text", "15.text"],
      negative_prompt: ["text", "", "7.text", "16.text"],
      width: ["integer", 1024, "5.width"],
      height: ["integer", 1024, "5.height"],
      batch_size: ["integer", 1, "5.batch_size"],
      steps: ["integer", 25, "10.steps", "11.steps"],
      cfg: ["number", 8, "10.cfg", "11.cfg"],
      sampler: ["choice", "euler", "10.sampler_name", "11.sampler_name"],
      scheduler: ["choice", "normal", "10.scheduler", "11.scheduler"],
      seed: ["seed", undefined, "10.noise_seed"],
      checkpoint: ["choice", "base.safetensors", "4.ckpt_name"],
      checkpoint_2: ["choice", "refiner.safetensors", "12.ckpt_name"],
    });
  });

  it("takes a class by the name of what every object has for no primitive one", () => {
    expect(proposed({ "1": node("constructor", { value: 1 }) })).toEqual({});
  });

  it("follows links to primitive nodes, and offers those that are left", () => {
    expect(proposed(fluxInParts)).toEqual({
      prompt: ["text", "a heron", "4.value"],
      width: ["integer", 1024, "8.value"],
      batch_size: ["integer", 2, "9.batch_size"],
      steps: ["integer", 20, "12.steps"],
      guidance: ["number", 3.5, "6.guidance"],
      sampler: ["choice", "euler", "11.sampler_name"],
      scheduler: ["choice", "simple", "12.scheduler"],
      denoise: ["number", 1, "12.denoise"],
      seed: ["seed", undefined, "10.noise_seed"],
      diffusion_model: ["choice", "flux.safetensors", "1.unet_name"],
      text_encoder: ["choice", "clip_l.safetensors", "2.clip_name1"],
      text_encoder_2: ["choice", "t5.safetensors", "2.clip_name2"],
      vae: ["choice", "ae.safetensors", "3.vae_name"],
      grain: ["number", 0.25, "16.value"],
    });
  });

  it("tells images from masks, and numbers what there is several of", () => {
    expect(proposed(everything)).toEqual({
      prompt: ["text", "a castle", "4.text_g", "4.text_l"],
      image: ["image", undefined, "7.image"],
      image_2: ["image", undefined, "9.image"],
      mask: ["image", undefined, "10.image"],
      upscale_factor: ["number", 1.5, "13.scale_by"],
      steps: ["integer", 20, "12.steps"],
      steps_2: ["integer", 10, "14.steps"],
      cfg: ["number", 7, "12.cfg", "14.cfg"],
      sampler: ["choice", "euler", "12.sampler_name"],
      sampler_2: ["choice", "dpmpp_2m", "14.sampler_name"],
      scheduler: ["choice", "normal", "12.scheduler"],
      scheduler_2: ["choice", "karras", "14.scheduler"],
      denoise: ["number", 0.9, "12.denoise"],
      denoise_2: ["number", 0.5, "14.denoise"],
      seed: ["seed", undefined, "12.seed"],
      seed_2: ["seed", undefined, "14.seed"],
      checkpoint: ["choice", "sd15.safetensors", "1.ckpt_name"],
      lora: ["choice", "a.safetensors", "2.lora_name"],
      lora_2: ["choice", "b.safetensors", "3.lora_name"],
      lora_strength: ["number", 1, "2.strength_model"],
      lora_strength_2: ["number", 1, "3.strength_model"],
      lora_clip_strength: ["number", 1, "2.strength_clip"],
      controlnet: ["choice", "canny.safetensors", "6.control_net_name"],
      controlnet_strength: ["number", 0.8, "8.strength"],
      upscale_model: ["choice", "x4.pth", "16.model_name"],
    });
  });

  it("does not depend on the order of the JSON", () => {
    for (const graph of Object.values(graphs)) {
      const named = withNames(graph);
      const ids = Object.keys(named);
      fc.assert(
        fc.property(fc.shuffledSubarray(ids, { minLength: ids.length }), (shuffled) => {
          const reordered = Object.fromEntries(shuffled.map((id) => [id, named[id] ?? expect.fail()]));
          expect(proposeParameters(reordered)).toEqual(proposeParameters(named));
        }),
        { numRuns: 10 },
      );
    }
  });

  it("goes through rings of nodes and links to nowhere", () => {
    const ring: WorkflowGraph = {
      a: node("KSampler", { positive: ["b", 0], negative: ["gone", 0], latent_image: ["a", 0] }),
      b: node("ConditioningCombine", { conditioning_1: ["b", 0], conditioning_2: ["c", 0] }),
      c: node("CLIPTextEncode", { text: "deep", clip: ["c", 1] }),
    };
    expect(proposed(ring)).toEqual({ prompt: ["text", "deep", "c.text"] });
  });

  it("takes any graph, and what it proposes can be registered and changes nothing by default", () => {
    fc.assert(
      fc.property(anyGraph, (graph) => {
        const template = defineTemplate({
          ...{ name: "any", description: "", graph },
          parameters: proposeParameters(graph),
        });
        const given = Object.fromEntries(
          template.parameters
            .filter(({ type }) => type === "seed")
            .map(({ name, targets: [target] }) => [
              name,
              target === undefined ? null : (plainValueAt({ graph }, target) ?? null),
            ]),
        );
        const optional = template.parameters.filter(({ isRequired }) => !isRequired);
        const { plain } = readParameters({ ...template, parameters: optional }, given, {
          randomSeed: () => expect.fail("a seed was drawn"),
        });
        expect(applyParameters(template, plain)).toEqual(graph);
      }),
      { numRuns: 300 },
    );
  });

  it("looks through a graph a few times, however many images it loads", () => {
    const loaders = Array.from({ length: 1_000 }, (_, i) => [
      `n${i}`,
      { class_type: "LoadImage", inputs: { image: `${i}.png` } },
    ]);
    let looks = 0;
    const graph = new Proxy(Object.fromEntries(loaders), {
      get: (target, id, receiver) => {
        looks += 1;
        return Reflect.get(target, id, receiver);
      },
    });
    expect(proposeParameters(graph)).not.toEqual([]);
    expect(looks).toBeLessThan(100_000);
  });
});

/** The same graph with ids that are no numbers, which objects would sort. */
function withNames(graph: WorkflowGraph): WorkflowGraph {
  const renamed = (value: GraphValue): GraphValue => {
    const link = linkOf(value);
    return link === undefined ? value : [`n${link.nodeId}`, link.output];
  };
  return Object.fromEntries(
    Object.entries(graph).map(([id, { inputs, ...rest }]) => [
      `n${id}`,
      {
        ...rest,
        inputs: Object.fromEntries(Object.entries(inputs).map(([name, value]) => [name, renamed(value)])),
      },
    ]),
  );
}

/** Of each parameter the type, the default, and what it sets. */
function proposed(graph: WorkflowGraph): Readonly<Record<string, readonly unknown[]>> {
  return Object.fromEntries(
    proposeParameters(graph).map(({ name, type, default: value, targets }) => [
      name,
      [type, value, ...targets.map(({ nodeId, inputName }) => `${nodeId}.${inputName}`)],
    ]),
  );
}

/** Graphs of nodes that proposals look at, with values and links that may be anything. */
const anyGraph: fc.Arbitrary<WorkflowGraph> = (() => {
  const ids = ["1", "2", "3", "10", "x:1"];
  const link = fc.tuple(fc.constantFrom(...ids), fc.nat({ max: 2 }));
  const value: fc.Arbitrary<GraphValue> = fc.oneof(
    link,
    fc.string({ maxLength: 8 }),
    fc.maxSafeNat(),
    fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
    fc.double({ noNaN: true, min: -1e6, max: 1e6 }),
    fc.boolean(),
    fc.constant(null),
  );
  const inputName = fc.constantFrom(
    ...["positive", "negative", "conditioning", "text", "prompt", "seed", "noise_seed", "steps", "cfg"],
    ...[
      "sampler_name",
      "scheduler",
      "denoise",
      "width",
      "height",
      "image",
      "value",
      "ckpt_name",
      "strength_model",
    ],
  );
  const inputs = fc.dictionary(inputName, value, { maxKeys: 8 });
  const classType = fc.constantFrom(
    ...["KSampler", "CLIPTextEncode", "EmptyLatentImage", "LoadImage", "LoadImageMask", "LoraLoader"],
    ...["CFGGuider", "PrimitiveInt", "PrimitiveFloat", "PrimitiveStringMultiline", "ConditioningCombine"],
  );
  const title = fc.option(fc.constantFrom("Side", "Steps", "9", "größe ⌀"), { nil: undefined });
  const anyNode = fc.tuple(classType, inputs, title).map((parts) => node(...parts));
  return fc.dictionary(fc.constantFrom(...ids), anyNode, { maxKeys: 5 });
})();
