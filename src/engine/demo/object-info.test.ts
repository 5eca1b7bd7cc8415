import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { isJsonObject, type Json, type JsonObject, parseJson } from "./json.ts";
import { createModelCatalog } from "./models.ts";
import { nodeClasses } from "./nodes/registry.ts";
import { objectInfoOf } from "./object-info.ts";
import { nowhere } from "./testing/nowhere.ts";

/** What a ComfyUI 0.3.64 says of its classes, a line each; without tooltips and the names of its model files. */
const recorded = readFileSync(new URL("testdata/object-info.jsonl", import.meta.url), "utf8")
  .trimEnd()
  .split("\n")
  .map((line) => objectOf(parseJson(line)));

describe("object_info", () => {
  it.each(recorded.map((info) => [String(info.name), info] as const))(
    "describes %s as recorded",
    (name, info) => {
      const node = nodeClasses.get(name);
      const shown = node ? objectInfoOf(node, { models: createModelCatalog(), files: nowhere }) : {};
      const { input, ...facts } = info;
      const inputs = Object.entries(objectOf(input));
      expect(shown).toMatchObject(facts);
      expect(Object.keys(objectOf(shown.input)).filter((section) => section !== "hidden")).toEqual(
        inputs.map(([section]) => section),
      );
      for (const [section, wanted] of inputs) {
        const own = objectOf(objectOf(shown.input)[section]);
        // The order is that of the widgets in a saved graph.
        expect(Object.keys(own)).toEqual(Object.keys(objectOf(wanted)));
        expect(objectOf(shown.input_order)[section]).toEqual(Object.keys(own));
        for (const [input, config] of Object.entries(objectOf(wanted))) {
          expect([input, configOf(own[input])]).toEqual([input, atLeast(configOf(config))]);
        }
      }
    },
  );
});

interface InputConfig {
  readonly type: Json;
  readonly options: JsonObject;
  readonly choices: readonly Json[];
}

/** Lists of choices stand in two places, and move from one to the other between releases. */
function configOf(config: Json | undefined): InputConfig {
  const [type = null, more = {}] = Array.isArray(config) ? config : [];
  const { options, multiselect: _, ...rest } = objectOf(more);
  const choices = Array.isArray(type) ? type : Array.isArray(options) ? options : [];
  return { type: choices === type ? "COMBO" : type, options: rest, choices };
}

/** The same, with choices beside those that were recorded: newer releases have more, and files are others everywhere. */
function atLeast({ choices, ...rest }: InputConfig): object {
  return { ...rest, choices: expect.arrayContaining<unknown>(choices.slice()) };
}

function objectOf(value: Json | undefined): JsonObject {
  if (value === undefined || !isJsonObject(value)) {
    throw new Error("this should be an object");
  }
  return value;
}
