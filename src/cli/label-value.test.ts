import { expect, it } from "vitest";
import { parseLabel } from "./label-value.ts";

it.each([
  ["team=web", ["team", "web"]],
  ["url=http://x/?a=b", ["url", "http://x/?a=b"]],
  ["draft=", ["draft", ""]],
])("reads %j", (text, expected) => {
  expect(parseLabel(text)).toEqual(expected);
});

it.each(["", "team", "=web"])("refuses %j", (text) => {
  expect(() => parseLabel(text)).toThrow("name=value");
});
