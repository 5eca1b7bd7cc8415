import { describe, expect, it } from "vitest";
import { aliasesOfSampler, canonicalSampler } from "./sampler-aliases.ts";

describe("the aliases of a sampler", () => {
  it("are all that stand for it", () => {
    const listed = ["euler", "euler_ancestral", "dpmpp_2s_ancestral"];
    expect(aliasesOfSampler("euler", listed)).toEqual([]);
    expect(aliasesOfSampler("euler_ancestral", listed)).toEqual(["euler_a"]);
    const several = aliasesOfSampler("dpmpp_2s_ancestral", listed);
    expect(several).toEqual(["dpm_plus_plus_2s_a", "dpmpp_2s_a"]);
    expect(several.map((alias) => canonicalSampler(alias, listed))).toEqual(
      listed.slice(2).concat(listed.slice(2)),
    );
  });

  it("are none that a backend has a sampler of", () => {
    const listed = ["euler_a", "euler_ancestral"];
    expect(aliasesOfSampler("euler_ancestral", listed)).toEqual([]);
    expect(aliasesOfSampler("euler_a", listed)).toEqual([]);
  });
});
