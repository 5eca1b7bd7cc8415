import { InvalidArgumentError } from "commander";
import { parseNumber } from "./option-values.ts";

/** A ControlNet as an option says it; what was not given is absent. */
export interface ControlNetValue {
  readonly model: string;
  /** Where the image is: see `readImageArgument`. */
  readonly image: string;
  readonly strength?: number;
  readonly start?: number;
  readonly end?: number;
  readonly preprocessor?: "canny" | "invert";
}

/**
 * Reads `model=NAME,image=FILE`, and `strength`, `start`, `end` and `preprocessor` likewise, in any order.
 *
 * @throws InvalidArgumentError if it is not that
 */
export function parseControlNet(text: string): ControlNetValue {
  const parts = new Map(text.split(",").map(splitPair));
  const unknown = [...parts.keys()].find((key) => !keys.has(key));
  const [model, image] = [parts.get("model"), parts.get("image")];
  if (unknown !== undefined || parts.size < text.split(",").length || !model || !image) {
    throw new InvalidArgumentError("Write it as model=NAME,image=FILE,strength=0.8,start=0,end=1.");
  }
  return {
    model,
    image,
    ...numberOf(parts, "strength"),
    ...numberOf(parts, "start"),
    ...numberOf(parts, "end"),
    ...preprocessorOf(parts.get("preprocessor")),
  };
}

const keys = new Set(["model", "image", "strength", "start", "end", "preprocessor"]);

function splitPair(pair: string): [string, string] {
  const at = pair.indexOf("=");
  return at < 0 ? [pair, ""] : [pair.slice(0, at).trim(), pair.slice(at + 1)];
}

function numberOf<Key extends "strength" | "start" | "end">(
  parts: ReadonlyMap<string, string>,
  key: Key,
): Partial<Record<Key, number>> {
  const text = parts.get(key);
  return text === undefined ? {} : ({ [key]: parseNumber(text) } as Record<Key, number>);
}

function preprocessorOf(text: string | undefined): Pick<ControlNetValue, "preprocessor"> {
  switch (text) {
    case undefined:
      return {};
    case "canny":
    case "invert":
      return { preprocessor: text };
    default:
      throw new InvalidArgumentError("The preprocessor is canny or invert.");
  }
}
