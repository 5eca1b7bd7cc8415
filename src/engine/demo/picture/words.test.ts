import { describe, expect, it } from "vitest";
import { hex } from "./colour.ts";
import { readPrompt } from "./words.ts";

describe("the reading of a prompt", () => {
  it.each([
    ["A red FOX, in the (snow:1.2)!", ["fox", "snow"]],
    ["foxes, wolves and kittens", ["fox", "wolf", "cat"]],
    ["poppies by the lakes under cloudy skies", ["clouds", "flowers", "sea"]],
    ["the", []],
  ])("finds the themes of %j", (text, themes) => {
    expect([...readPrompt(text).themes].sort()).toEqual([...themes].sort());
  });

  it("gives a colour to the animal that it stands before, and the others to the picture", () => {
    const { animalColour, colours } = readPrompt("a white fox under a pink sky");
    expect(animalColour).toEqual(hex("#f7f8fb"));
    expect(colours).toEqual([hex("#f08fb6")]);
  });

  it("tells prompts apart by the words that it does not know, not by their filling", () => {
    expect(readPrompt("a teapot").restHash).toBe(readPrompt("the teapot").restHash);
    expect(readPrompt("a teapot").restHash).not.toBe(readPrompt("a kettle").restHash);
  });
});
