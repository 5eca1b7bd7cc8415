import { expect, it } from "vitest";
import { modelsOfGraph } from "./graph-models.ts";

it("finds the models of a graph by their inputs, their files, and in prompts", () => {
  const node = (class_type: string, inputs: Record<string, string | number>) => ({ class_type, inputs });
  expect(
    modelsOfGraph({
      "4": node("CheckpointLoaderSimple", { ckpt_name: "sd15" }),
      "5": node("DualCLIPLoader", { clip_name1: "l.safetensors", clip_name2: "t5.gguf", type: "flux" }),
      "6": node("CLIPTextEncode", { text: "a fox, (embedding:blur:1.2), embedding:sub/dir" }),
      "7": node("UpscaleModelLoader", { model_name: "4x.pth" }),
      "8": node("CLIPVisionLoader", { clip_name: "vit.safetensors" }),
      "9": node("KSampler", { seed: 7, sampler_name: "euler" }),
    }),
  ).toEqual([
    { kind: "checkpoint", name: "sd15", nodeId: "4", input: "ckpt_name" },
    { kind: "textEncoder", name: "l.safetensors", nodeId: "5", input: "clip_name1" },
    { kind: "textEncoder", name: "t5.gguf", nodeId: "5", input: "clip_name2" },
    { kind: "embedding", name: "blur", nodeId: "6", input: "text" },
    { kind: "embedding", name: "sub/dir", nodeId: "6", input: "text" },
    { kind: "upscaler", name: "4x.pth", nodeId: "7", input: "model_name" },
    { name: "vit.safetensors", nodeId: "8", input: "clip_name" },
  ]);
});
