import { describe, expect, it } from "vitest";
import type { Json } from "../json.ts";
import { difference, latentOf, runNode, testPicture, valueIn } from "../testing/run-node.ts";
import { testClip, testDraw, testModel, testText } from "../testing/test-values.ts";
import type { Clip, Conditioning, Value } from "./value.ts";

const fox = testText("a red fox in the snow");
const sea = testText("a boat on the sea at sunset");

describe("encoded texts", () => {
  it("are one prompt when they are combined", async () => {
    const conditioning_1 = testText("a red fox");
    const positive = await made("ConditioningCombine", { conditioning_1, conditioning_2: testText("snow") });
    expect(await testDraw({ positive })).toEqual(await testDraw({ positive: testText("a red fox, snow") }));
  });

  it("are one text when they are concatenated", async () => {
    const from = await made("ConditioningCombine", { conditioning_1: testText("snow"), conditioning_2: sea });
    const positive = await made("ConditioningConcat", {
      conditioning_to: testText("a red fox"),
      conditioning_from: from,
    });
    expect(await testDraw({ positive })).toEqual(await testDraw({ positive: testText("a red fox, snow") }));
  });

  it("blend by their strength when they are averaged", async () => {
    const average = async (strength: number) =>
      testDraw({
        positive: await made("ConditioningAverage", {
          conditioning_to: fox,
          conditioning_from: sea,
          conditioning_to_strength: strength,
        }),
      });
    const [foxes, seas] = [await testDraw({ positive: fox }), await testDraw({ positive: sea })];
    expect(await average(1)).toEqual(foxes);
    expect(difference(await average(0), seas)).toBeLessThan(1);
    expect(difference(await average(0.75), foxes)).toBeLessThan(difference(await average(0.25), foxes));
  });

  it("ask for nothing when they are zeroed out", async () => {
    const positive = await made("ConditioningZeroOut", { conditioning: fox });
    expect(await testDraw({ positive })).toEqual(await testDraw({ positive: testText("") }));
  });

  it("count only during their steps", async () => {
    const late = await made("ConditioningSetTimestepRange", { conditioning: sea, start: 0.9, end: 1 });
    const positive = await made("ConditioningCombine", { conditioning_1: fox, conditioning_2: late });
    const [foxes, seas] = [await testDraw({ positive: fox }), await testDraw({ positive: sea })];
    const both = await testDraw({ positive });
    expect(difference(both, foxes)).toBeGreaterThan(1);
    expect(difference(both, foxes)).toBeLessThan(difference(seas, foxes) / 5);

    const never = await made("ConditioningSetTimestepRange", { conditioning: sea, start: 0.4, end: 0.4 });
    const alone = await made("ConditioningCombine", { conditioning_1: fox, conditioning_2: never });
    expect(await testDraw({ positive: alone })).toEqual(foxes);
  });

  it("count only under their mask", async () => {
    const data = Float32Array.from({ length: 64 * 64 }, (_, i) => (i % 64 < 32 ? 1 : 0));
    const masked = (strength: number) =>
      made("ConditioningSetMask", {
        conditioning: sea,
        mask: { kind: "MASK", planes: [{ width: 64, height: 64, data }] },
        strength,
        set_cond_area: "default",
      });
    const draw = async (strength: number) =>
      testDraw({
        positive: await made("ConditioningCombine", {
          conditioning_1: fox,
          conditioning_2: await masked(strength),
        }),
      });
    const [foxes, seas, both] = [
      await testDraw({ positive: fox }),
      await testDraw({ positive: sea }),
      await draw(1),
    ];
    for (const [i, value] of both.entries()) {
      expect(Math.abs(value - ((Math.floor(i / 3) % 64 < 32 ? seas[i] : foxes[i]) ?? 0))).toBeLessThan(1);
    }
    expect(await draw(0)).toEqual(foxes);
  });

  it("are not wanted if they are negative, unless cfg is 1", async () => {
    const negative = testText("snow");
    expect(await testDraw({ negative })).not.toEqual(await testDraw());
    expect(await testDraw({ negative, cfg: 1 })).toEqual(await testDraw({ cfg: 1 }));
  });
});

describe("guidance", () => {
  const flux = testModel("demo-flux.safetensors", "flux-1-dev");

  it("makes colours stronger on models that heed it, and is without effect on others", async () => {
    const guided = (guidance: number) => made("FluxGuidance", { conditioning: fox, guidance });
    const draw = async (guidance: number) =>
      testDraw({ model: flux, cfg: 1, positive: await guided(guidance) });
    const [weak, usual, strong] = [await draw(1), await draw(3.5), await draw(8)];
    expect(colourfulness(weak)).toBeLessThan(colourfulness(usual));
    expect(colourfulness(usual)).toBeLessThan(colourfulness(strong));
    expect(usual).toEqual(await testDraw({ model: flux, cfg: 1, positive: fox }));
    expect(await testDraw({ positive: await guided(8) })).toEqual(await testDraw());
  });

  it("can be given with the text", async () => {
    const texts = { clip: testClip(), clip_l: "a red fox in the snow", t5xxl: "a red fox in the snow" };
    const encoded = await made("CLIPTextEncodeFlux", { ...texts, guidance: 8 });
    const guided = await made("FluxGuidance", { conditioning: fox, guidance: 8 });
    const draw = (positive: Conditioning) => testDraw({ model: flux, cfg: 1, positive });
    expect(await draw(encoded)).toEqual(await draw(guided));
  });

  it("looks the same at the usual cfg of each family", async () => {
    const draw = (architecture: string, cfg: number) =>
      testDraw({ model: testModel("demo.safetensors", architecture), cfg });
    expect(await draw("qwen-image", 2.5)).toEqual(await draw("", 7));
    expect(await draw("stable-diffusion-v3", 4.5)).toEqual(await draw("", 7));
  });

  it("is less harsh with a rescaled cfg", async () => {
    const rescaled = async (multiplier: number) =>
      testDraw({
        cfg: 12,
        model: valueIn(await runNode("RescaleCFG", { model: testModel(), multiplier }), "MODEL"),
      });
    const [none, all] = [await rescaled(0), await rescaled(1)];
    expect(none).toEqual(await testDraw({ cfg: 12 }));
    expect(colourfulness(all)).toBeLessThan(colourfulness(none));
  });
});

describe("a text", () => {
  it.each<[string, Record<string, Json>]>([
    ["CLIPTextEncode", { text: "a fox" }],
    [
      "CLIPTextEncodeSDXL",
      {
        width: 1024,
        height: 1024,
        crop_w: 0,
        crop_h: 0,
        target_width: 1024,
        target_height: 1024,
        text_g: "a fox",
        text_l: "",
      },
    ],
    ["CLIPTextEncodeSDXLRefiner", { ascore: 6, width: 1024, height: 1024, text: "a fox" }],
    ["CLIPTextEncodeSD3", { clip_l: "", clip_g: "a fox", t5xxl: "a fox", empty_padding: "none" }],
    ["CLIPTextEncodeFlux", { clip_l: "a fox", t5xxl: "", guidance: 3.5 }],
  ])("is read by %s", async (classType, inputs) => {
    expect((await made(classType, { clip: testClip(), ...inputs })).parts).toMatchObject([{ text: "a fox" }]);
  });

  it("changes in details with what is said beside it", async () => {
    const frame = { width: 1024, height: 1024, clip: testClip(), text: "a red fox in the snow" };
    const draw = async (ascore: number) =>
      testDraw({ positive: await made("CLIPTextEncodeSDXLRefiner", { ...frame, ascore }) });
    expect(await draw(6)).not.toEqual(await draw(2.5));
  });

  it("has the words of an embedding in its place, and none of one that is not there", async () => {
    const encode = async (text: string) => {
      const { parts } = await made("CLIPTextEncode", { clip: testClip(), text });
      return parts[0]?.text;
    };
    const words = "autumn, orange leaves, golden evening";
    expect(await encode("a fox, embedding:demo-autumn")).toBe(`a fox, ${words}`);
    expect(await encode("(embedding:demo-autumn.safetensors:1.2), fog")).toBe(`(${words}:1.2), fog`);
    expect(await encode("a fox, embedding:nothing")).toBe("a fox, ");
  });

  it("is read differently by each text encoder", async () => {
    const draw = async (classType: string, inputs: Record<string, Json>) => {
      const clip = valueIn(await runNode(classType, inputs), "CLIP");
      return testDraw({ positive: testText("a red fox", { clip }) });
    };
    const clip_name1 = "demo-clip_l.safetensors";
    const pictures = [
      await draw("CLIPLoader", { clip_name: clip_name1, type: "stable_diffusion" }),
      await draw("CLIPLoader", { clip_name: "demo-qwen.safetensors", type: "qwen_image", device: "cpu" }),
      await draw("DualCLIPLoader", { clip_name1, clip_name2: "demo-t5xxl.safetensors", type: "flux" }),
    ];
    expect(new Set(pictures.map(String)).size).toBe(3);
  });
});

describe("a LoRA", () => {
  const loaded = async (strength_model: number, strength_clip: number) => {
    const inputs = { lora_name: "demo-watercolor.safetensors", strength_model, strength_clip };
    const result = await runNode("LoraLoader", { model: testModel(), clip: testClip(), ...inputs });
    const clip: Clip = valueIn(result, "CLIP");
    return testDraw({
      model: valueIn(result, "MODEL"),
      positive: testText("a red fox in the snow", { clip }),
    });
  };

  it("changes the picture the more the stronger it is, and not at all at 0", async () => {
    const plain = await testDraw();
    const distances = [];
    for (const strength of [0, 0.25, 0.5, 1]) {
      distances.push(difference(await loaded(strength, 0), plain));
    }
    expect(distances[0]).toBe(0);
    expect(distances).toEqual(distances.toSorted((a, b) => a - b));
    expect(new Set(distances).size).toBe(distances.length);
  });

  it("changes less on the text encoder than on the model", async () => {
    const plain = await testDraw();
    const [onClip, onModel] = [await loaded(0, 1), await loaded(1, 0)];
    expect(difference(onClip, plain)).toBeGreaterThan(0.5);
    expect(difference(onClip, plain)).toBeLessThan(difference(onModel, plain));
  });
});

describe("a model", () => {
  it.each<[string, Record<string, Json>, Record<string, Json>]>([
    ["ModelSamplingSD3", { shift: 3 }, { shift: 6 }],
    ["ModelSamplingAuraFlow", { shift: 3 }, { shift: 6 }],
    [
      "ModelSamplingFlux",
      { max_shift: 1.15, base_shift: 0.5, width: 1024, height: 1024 },
      { max_shift: 1.15, base_shift: 0.5, width: 512, height: 512 },
    ],
  ])("samples differently by the shift of %s", async (classType, some, more) => {
    const draw = async (inputs: Record<string, Json>) =>
      testDraw({ model: valueIn(await runNode(classType, { model: testModel(), ...inputs }), "MODEL") });
    const [plain, first, second] = [await testDraw(), await draw(some), await draw(more)];
    expect(first).not.toEqual(plain);
    expect(second).not.toEqual(first);
  });

  it.each<[string, string]>([
    ["demo-sd15.safetensors", "demo-sd15_inpaint.safetensors"],
    ["demo-sdxl.safetensors", "demo-sdxl_refiner.safetensors"],
  ])("is another one than %s: %s", async (first, second) => {
    const draw = async (ckpt_name: string) =>
      testDraw({ model: valueIn(await runNode("CheckpointLoaderSimple", { ckpt_name }), "MODEL") });
    expect(await draw(first)).not.toEqual(await draw(second));
  });

  it("paints over a picture with its VAE's tone", async () => {
    const latent_image = await latentOf(testPicture(64, 64));
    const vaes = ["", "demo-vae.safetensors", "demo-vae_flux.safetensors", "demo-vae_qwen.safetensors"];
    const pictures = [];
    for (const name of vaes) {
      const vae = { kind: "VAE", name } as const;
      const decoded = await runNode("VAEDecode", { samples: latent_image, vae });
      pictures.push(String(valueIn(decoded, "IMAGE").images[0]?.data));
    }
    expect(new Set(pictures).size).toBe(vaes.length);
  });
});

async function made(classType: string, inputs: Record<string, Json | Value>): Promise<Conditioning> {
  return valueIn(await runNode(classType, inputs), "CONDITIONING");
}

/** Mean distance of the three colours of a pixel. */
function colourfulness(pixels: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < pixels.length; i += 3) {
    const [r = 0, g = 0, b = 0] = pixels.subarray(i, i + 3);
    sum += Math.max(r, g, b) - Math.min(r, g, b);
  }
  return sum / pixels.length;
}
