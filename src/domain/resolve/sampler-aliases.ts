/** Names by which other tools know ComfyUI's samplers. */
const samplerAliases: ReadonlyMap<string, string> = new Map([
  ["euler_a", "euler_ancestral"],
  ["dpm_2_a", "dpm_2_ancestral"],
  ["dpm_plus_plus_2m", "dpmpp_2m"],
  ["dpm_plus_plus_2s_a", "dpmpp_2s_ancestral"],
  ["dpm_plus_plus_sde", "dpmpp_sde"],
  ["dpmpp_2s_a", "dpmpp_2s_ancestral"],
]);

/** The sampler that `name` stands for. An alias counts only where no sampler of that very name is `listed`. */
export function canonicalSampler(name: string, listed: readonly string[]): string {
  return listed.includes(name) ? name : (samplerAliases.get(name) ?? name);
}

/** The other names that stand for `sampler` where `listed` are the samplers that there are. */
export function aliasesOfSampler(sampler: string, listed: readonly string[]): readonly string[] {
  return [...samplerAliases.keys()].filter(
    (alias) => alias !== sampler && canonicalSampler(alias, listed) === sampler,
  );
}
