import { readFile } from "node:fs/promises";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { z } from "zod";
import { type GenerationSpec, GenerationSpecSchema } from "../../../gen/comfyrpc/v1/generation_pb.js";
import { isSystemError } from "../system-error.ts";
import { UsageError } from "../usage-error.ts";

/**
 * Reads a file that holds a JSON array of specs, in the mapping of protobuf.
 *
 * @param path of the file, or `-` for `stdin`
 * @throws UsageError if it cannot be read, or holds anything else
 */
export async function readSpecs(path: string, stdin: Readable): Promise<GenerationSpec[]> {
  const array = SpecArray.safeParse(parseJson(await readText(path, stdin)));
  if (!array.success)
    throw new UsageError('--specs: write a JSON array of specs, such as [{"prompt": "a red fox"}]');
  return array.data.map(readSpec);
}

const SpecArray = z.array(z.json()).min(1);

async function readText(path: string, stdin: Readable): Promise<string> {
  try {
    return path === "-" ? await text(stdin) : await readFile(path, "utf8");
  } catch (error) {
    if (isSystemError(error)) throw new UsageError(`--specs: cannot read ${path}: ${error.message}`);
    throw error;
  }
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new UsageError(`--specs: no JSON: ${error instanceof Error ? error.message : error}`);
  }
}

function readSpec(json: JsonValue, index: number): GenerationSpec {
  try {
    return fromJson(GenerationSpecSchema, json);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(`--specs: spec ${index + 1}: ${reason}`);
  }
}
