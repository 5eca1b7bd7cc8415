/** What models of one family have in common. */
export interface ModelFamily {
  /** Value of cfg with which its pictures look best: 1 for models that have no use for negative prompts. */
  readonly usualCfg: number;
  /** Guidance with which its pictures look best, see `FluxGuidance`; `undefined` if it does not heed any. */
  readonly usualGuidance: number | undefined;
  /** Whether it was trained to paint into what is there, see `InpaintModelConditioning`. */
  readonly paintsInto: boolean;
}

/** The family that an architecture (`modelspec.architecture`) belongs to. */
export function familyOf(architecture: string): ModelFamily {
  return { ...ORDINARY, ...FAMILIES[architecture] };
}

const ORDINARY: ModelFamily = { usualCfg: 7, usualGuidance: undefined, paintsInto: false };

const FAMILIES: Readonly<Record<string, Partial<ModelFamily>>> = {
  "flux-1-dev": { usualCfg: 1, usualGuidance: 3.5 },
  "flux-2-dev": { usualCfg: 1, usualGuidance: 4 },
  "hunyuan-image": { usualCfg: 3.5 },
  "lumina-2": { usualCfg: 4 },
  "qwen-image": { usualCfg: 2.5 },
  "stable-diffusion-v1-inpainting": { paintsInto: true },
  "stable-diffusion-v3": { usualCfg: 4.5 },
  "z-image": { usualCfg: 1 },
  auraflow: { usualCfg: 3.5 },
  chroma: { usualCfg: 4 },
  hidream: { usualCfg: 5 },
};
