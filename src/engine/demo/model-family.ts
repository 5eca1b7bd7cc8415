/** What models of one family have in common. */
export interface ModelFamily {
  /** Value of cfg with which its pictures look best: 1 for models that have no use for negative prompts. */
  readonly usualCfg: number;
}

/** The family that an architecture (`modelspec.architecture`) belongs to. */
export function familyOf(architecture: string): ModelFamily {
  return FAMILIES[architecture] ?? { usualCfg: 7 };
}

const FAMILIES: Readonly<Record<string, ModelFamily>> = {
  "flux-1-dev": { usualCfg: 1 },
  "flux-2-dev": { usualCfg: 1 },
  "hunyuan-image": { usualCfg: 3.5 },
  "lumina-2": { usualCfg: 4 },
  "qwen-image": { usualCfg: 2.5 },
  "stable-diffusion-v3": { usualCfg: 4.5 },
  "z-image": { usualCfg: 1 },
  auraflow: { usualCfg: 3.5 },
  chroma: { usualCfg: 3 },
  hidream: { usualCfg: 5 },
};
