import { describe, expect, it } from "vitest";
import { executionError, parseExecutionFailure } from "./failures.ts";

describe("executionError", () => {
  it.each([
    ["torch.OutOfMemoryError", "Allocation on device"],
    ["torch.cuda.OutOfMemoryError", ""],
    ["RuntimeError", "CUDA error: out of memory"],
    ["torch.AcceleratorError", "CUDA error: out of memory"],
  ])("knows %s (%s) as running out of memory", (exceptionType, message) => {
    expect(failed("KSampler", exceptionType, message).reason).toBe("OUT_OF_MEMORY");
  });

  // Each as a ComfyUI of 0.3.64 says it of such a file, but for the product of matrices, which is the sampler's.
  it.each([
    [
      "LoraLoader",
      "safetensors._safetensors_rust.SafetensorError",
      "Error while deserializing header: header too small\n",
      "Error while deserializing header: header too small; the file of the model is damaged",
    ],
    [
      "ControlNetLoader",
      "RuntimeError",
      "ERROR: controlnet file is invalid and does not contain a valid controlnet model.\n",
      "does not contain a valid controlnet model; the file holds no model of the kind that this node loads",
    ],
    [
      "VAELoader",
      "RuntimeError",
      "ERROR: VAE is invalid: None\n\nIf the VAE is from a checkpoint, load that.",
      "VAE is invalid: None; the file holds no model of the kind",
    ],
    [
      "UpscaleModelLoader",
      "spandrel.__helpers.registry.UnsupportedModelError",
      "\n",
      "UnsupportedModelError; the file holds no model of the kind",
    ],
    [
      "CheckpointLoaderSimple",
      "RuntimeError",
      "ERROR: Could not detect model type of: /opt/comfyui/models/checkpoints/x.safetensors\n",
      "Could not detect model type of: [path]; the file holds no model of the kind",
    ],
    [
      "UpscaleModelLoader",
      "RuntimeError",
      "Error(s) in loading state_dict for RRDBNet:\n\tsize mismatch for body.0.weight: copying a param …",
      "state_dict for RRDBNet: size mismatch for body.0.weight: copying a param …; the file holds no model of the kind",
    ],
    [
      "KSampler",
      "RuntimeError",
      "mat1 and mat2 shapes cannot be multiplied (77x2048 and 768x320)",
      "(77x2048 and 768x320); models of different families do not go together",
    ],
  ])("says what to do about a file that %s fails at with %s: %s", (classType, exceptionType, text, said) => {
    const { reason, message } = failed(classType, exceptionType, text);
    expect(reason).toBe("NODE_FAILED");
    expect(message).toContain(`node 10 (${classType}) failed: `);
    expect(message).toContain(said);
  });

  it("gives no advice where it has none", () => {
    const { message } = failed("LoadImage", "ValueError", "bad");
    expect(message).toBe("node 10 (LoadImage) failed: bad");
  });
});

function failed(classType: string, exceptionType: string, message: string) {
  return executionError(
    parseExecutionFailure({
      ...{ node_id: "10", node_type: classType },
      ...{ exception_type: exceptionType, exception_message: message },
    }),
  );
}
