import { describe, expect, it } from "vitest";
import { promptSlug } from "./prompt-slug.ts";

describe("promptSlug", () => {
  it.each([
    ["A red fox, in the snow!", "a-red-fox-in-the-snow"],
    ["  (masterpiece:1.2), café ", "masterpiece-1-2-cafe"],
    ["雪の中の狐", "雪の中の狐"],
    ["../../etc/passwd", "etc-passwd"],
    ["\u0000\n:*?", "image"],
    ["🦊", "image"],
  ])("turns %j into %j", (prompt, slug) => {
    expect(promptSlug(prompt)).toBe(slug);
  });

  it("ends after a whole word, within 40 characters", () => {
    expect(promptSlug("a very long description of a red fox that walks through deep snow")).toBe(
      "a-very-long-description-of-a-red-fox",
    );
  });

  it("cuts a single word that is too long between characters", () => {
    expect(promptSlug("𠮷".repeat(50))).toBe("𠮷".repeat(40));
  });
});
