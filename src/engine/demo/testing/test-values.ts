import type { Json } from "../json.ts";
import { familyOf } from "../model-family.ts";
import type { Clip, Conditioning, ConditioningPart, Latent, Model, Value } from "../nodes/value.ts";
import { decoded, runNode, valueIn } from "./run-node.ts";

/** A checkpoint with nothing put on it. */
export function testModel(checkpoint = "demo-sd15.safetensors", architecture = ""): Model {
  const family = familyOf(architecture);
  return { kind: "MODEL", checkpoint, family, loras: [], schedule: "", rescaled: 0 };
}

/** The text encoder of a checkpoint. */
export function testClip(): Clip {
  return { kind: "CLIP", encoders: [], loras: [], layer: -1 };
}

/** A text as it is encoded with nothing more to say. */
export function testText(text: string, more: Partial<ConditioningPart> = {}): Conditioning {
  const part: ConditioningPart = {
    text,
    clip: testClip(),
    details: [],
    averaged: undefined,
    guidance: undefined,
    steps: { start: 0, end: 1 },
    region: undefined,
    strength: 1,
    controls: [],
    surroundings: undefined,
    ...more,
  };
  return { kind: "CONDITIONING", parts: [part] };
}

/** A latent with nothing in it. */
export async function testLatent(width = 64, height = 64): Promise<Latent> {
  return valueIn(await runNode("EmptyLatentImage", { width, height, batch_size: 1 }), "LATENT");
}

/** Runs a sampler of one of the two common classes; what is not given is that of a plain text-to-image graph. */
export async function testSample(
  classType: "KSampler" | "KSamplerAdvanced",
  changes: Readonly<Record<string, Json | Value>> = {},
): Promise<Latent> {
  const common = {
    model: testModel(),
    steps: 20,
    cfg: 7,
    sampler_name: "euler",
    scheduler: "normal",
    positive: testText("a red fox in the snow"),
    negative: testText(""),
    latent_image: changes.latent_image ?? (await testLatent()),
  };
  const own =
    classType === "KSampler"
      ? { seed: 7, denoise: 1 }
      : {
          add_noise: "enable",
          noise_seed: 7,
          start_at_step: 0,
          end_at_step: 10000,
          return_with_leftover_noise: "disable",
        };
  return valueIn(await runNode(classType, { ...common, ...own, ...changes }), "LATENT");
}

/** The picture that a plain text-to-image graph makes, with something changed. */
export async function testDraw(changes: Readonly<Record<string, Json | Value>> = {}): Promise<Uint8Array> {
  return pixelsOf(await testSample("KSampler", changes));
}

/** The first picture that a latent decodes to. */
export async function pixelsOf(latent: Latent, vae = ""): Promise<Uint8Array> {
  const [first] = await decoded(latent, vae);
  return first?.data ?? new Uint8Array();
}
