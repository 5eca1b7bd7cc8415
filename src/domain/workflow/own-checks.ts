import type { NodeClass, NodeInput } from "../node-class.ts";

/**
 * Whether the class may check its inputs by rules of its own (`VALIDATE_INPUTS`), which then take the place of ComfyUI's,
 * and of which its description says nothing. Of ComfyUI's own classes it is known which do; the packages of others use it
 * to take any value, or any link, where the description names a few.
 */
export function mayCheckByItself({ module }: NodeClass): boolean {
  return module === undefined || !(module === "nodes" || module.startsWith("comfy_extras."));
}

/** Whether one of ComfyUI's own classes checks this input by itself: whether there is such a file. */
export function isCheckedFile({ name: className }: NodeClass, { name, options }: NodeInput): boolean {
  return (
    options.image_upload === true ||
    options.audio_upload === true ||
    options.video_upload === true ||
    fileInputs.has(`${className}.${name}`)
  );
}

const fileInputs: ReadonlySet<string> = new Set(["LoadLatent.latent"]);
