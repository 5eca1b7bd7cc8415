import { describe, expect, it } from "vitest";
import { nearestNames } from "./nearest-names.ts";

describe("nearestNames", () => {
  it("puts the most alike first, whatever the case", () => {
    expect(nearestNames("EULAR", ["heun", "euler", "euler_ancestral", "lms"])[0]).toBe("euler");
  });

  it("counts a name that contains the wanted one as near", () => {
    expect(nearestNames("dreamshaper", ["sd_xl_base_1.0.safetensors", "dreamshaper_8.safetensors"])[0]).toBe(
      "dreamshaper_8.safetensors",
    );
  });

  it("shows some names when none is alike, and none when there is none", () => {
    expect(nearestNames("zzzz", ["aaaa", "bbbb"])).toHaveLength(2);
    expect(nearestNames("zzzz", [])).toEqual([]);
  });
});
