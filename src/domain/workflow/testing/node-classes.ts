import { readFileSync } from "node:fs";
import { isObject } from "../../../engine/comfyui/json-shape.ts";
import { parseNodeClasses } from "../../../engine/comfyui/node-class.ts";
import { readJson } from "../../../lib/lossless-json.ts";
import type { NodeClasses } from "../../node-class.ts";

/** The node classes that the workflows in testdata/ use, as ComfyUI describes them. */
export function readNodeClasses(): NodeClasses {
  const file = new URL("../testdata/object-info.json", import.meta.url);
  const body = readJson(readFileSync(file, "utf8"));
  return parseNodeClasses(isObject(body) ? body : {}).classes;
}
