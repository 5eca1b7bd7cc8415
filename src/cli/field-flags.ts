/** The option of `comfyrpc generate` that sets a field, by its path in the request: `spec.loras[1].name` is `--lora`. */
export function flagOfField(path: string): string | undefined {
  const parts = path.replace(/\[\d+\]/g, "").split(".");
  const names = parts[0] === "spec" ? parts.slice(1) : parts;
  return flags.get(names.join(".")) ?? flags.get(names[0] ?? "");
}

const flags: ReadonlyMap<string, string> = new Map(
  Object.entries({
    negative_prompt: "--negative",
    model: "--model",
    width_px: "--width",
    height_px: "--height",
    steps: "--steps",
    cfg: "--cfg",
    denoise: "--denoise",
    sampler: "--sampler",
    scheduler: "--scheduler",
    seed: "--seed",
    image_count: "--count",
    loras: "--lora",
    clip_skip: "--clip-skip",
    vae: "--vae",
    preview: "--preview",
    "preview.max_side_px": "--preview-size",
    "preview.format": "--preview-format",
    "output.format": "--format",
    "output.quality": "--quality",
    "output.inline_limit_bytes": "--inline-limit",
  }),
);
