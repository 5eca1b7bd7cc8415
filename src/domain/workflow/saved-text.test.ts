import { describe, expect, it } from "vitest";
import { replaceNames, settlePrompt } from "./saved-text.ts";

describe("settlePrompt", () => {
  it.each([
    ["a fox", "a fox"],
    ["a {red|grey} fox", "a red fox"],
    ["a {{old|young} red|grey} fox", "a old red fox"],
    ["a {red|{light|dark} grey} fox", "a red fox"],
    ["a {|very} big fox", "a  big fox"],
    ["a {red fox", "a red fox"],
    ["a } fox | cub", "a } fox | cub"],
    ["\\{a\\|b\\} and \\(c\\)", "{a|b} and \\(c\\)"],
    ["{a\\|b|c}", "a|b"],
    ["a // not this\nfox", "a \nfox"],
    ["a /* nor\nthis */fox", "a fox"],
    ["a /* without end", "a /* without end"],
    ["/*/ one */ // two /* three\n*/ four", " \n*/ four"],
    ["ends with \\", "ends with \\"],
  ])("makes %j %j", (prompt, text) => {
    expect(settlePrompt(prompt).text).toBe(text);
  });

  it("says whether lots would have been drawn", () => {
    expect(settlePrompt("a {red|grey} fox").isRandom).toBe(true);
    expect(settlePrompt("a {red} fox | a cub").isRandom).toBe(false);
  });

  it.each(["{", "/*", "//\n", "{a|"])("is done at once with a text of many %j", (piece) => {
    expect(settlePrompt(piece.repeat(200_000)).text).toBeTypeOf("string");
  });
});

describe("replaceNames", () => {
  const values = new Map([
    ["KSampler seed", "42"],
    ["Text text", 'a/b:c*"d"'],
  ]);
  const replace = (text: string) => replaceNames(text, (node, widget) => values.get(`${node} ${widget}`));

  it.each([
    ["%KSampler.seed%_x", "42_x"],
    ["%Text.text%", "a_b_c__d_"],
    ["%width%x%height% %Nobody.seed% 100%", "%width%x%height% %Nobody.seed% 100%"],
    ["%date:yyyy-MM-dd%/%date:hhmmss%", "%year%-%month%-%day%/%hour%%minute%%second%"],
    ["%a.b.c%", "%a.b.c%"],
  ])("makes %j %j", (text, replaced) => {
    expect(replace(text)).toBe(replaced);
  });
});
