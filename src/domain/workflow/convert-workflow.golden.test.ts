import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { readJson } from "../../lib/lossless-json.ts";
import { convertWorkflow } from "./convert-workflow.ts";
import { readNodeClasses } from "./testing/node-classes.ts";

const folder = new URL("testdata/", import.meta.url);
const names = readdirSync(folder).flatMap(
  (file) => /^(?<name>.+)\.api\.json$/.exec(file)?.groups?.name ?? [],
);
const classes = readNodeClasses();

describe("conversion, compared with what the editor of ComfyUI sends", () => {
  it.each(names)("%s", (name) => {
    const { graph, problems } = convertWorkflow(read(`${name}.json`), classes);
    expect(graph).toEqual(read(`${name}.api.json`));
    expect(problems.filter(({ severity }) => severity === "error")).toEqual([]);
  });
});

function read(file: string): unknown {
  return readJson(readFileSync(new URL(file, folder), "utf8"));
}
