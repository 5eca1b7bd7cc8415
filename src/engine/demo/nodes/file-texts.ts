import { identity } from "../identity.ts";
import { stringifyJson } from "../json.ts";
import type { PngText } from "../png.ts";
import type { NodeContext } from "./node.ts";

/** Inputs by which nodes that write files learn what to write into them. */
export const HIDDEN = { prompt: "PROMPT", extra_pnginfo: "EXTRA_PNGINFO" } as const;

/** Says in every picture where it comes from. */
export const MARK: PngText = { keyword: "Software", text: identity.software };

/** What ComfyUI writes into its files, as JSON: the graph, and the caller's own. */
export function textsOf({ graphText, extraPngInfo }: NodeContext): readonly PngText[] {
  return [
    { keyword: "prompt", text: graphText() },
    ...Object.entries(extraPngInfo).map(([keyword, value]) => ({ keyword, text: stringifyJson(value) })),
  ];
}
