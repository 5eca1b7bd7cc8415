import type { Json } from "../json.ts";
import { createModelCatalog } from "../models.ts";
import { isOfKind, type NodeContext, NodeInputs, type NodeResult } from "../nodes/node.ts";
import { nodeClasses } from "../nodes/registry.ts";
import type { Latent, Value } from "../nodes/value.ts";
import { drawNow, type Pixels } from "../picture/picture.ts";

/** Runs one node by itself; links are given as values. Only what reads or writes files needs `files`. */
export async function runNode(
  classType: string,
  inputs: Readonly<Record<string, Json | Value>>,
  files?: NodeContext["files"],
): Promise<NodeResult> {
  const definition = nodeClasses.get(classType);
  if (!definition) {
    throw new Error(`there is no node class ${classType}`);
  }
  const context: NodeContext = {
    get files() {
      return files ?? unexpected("files");
    },
    models: createModelCatalog(),
    graphText: () => "{}",
    extraPngInfo: {},
    load: async () => undefined,
    step: async () => undefined,
    draw: async (work) => drawNow(work),
  };
  return definition.run(new NodeInputs(new Map(Object.entries(inputs))), context);
}

/** The value of one kind among those that a node has made. */
export function valueIn<Kind extends Value["kind"]>(
  { values }: NodeResult,
  kind: Kind,
): Extract<Value, { readonly kind: Kind }> {
  return values.find((value) => isOfKind(value, kind)) ?? unexpected(kind);
}

/** A picture whose colours differ from pixel to pixel. */
export function testPicture(width: number, height: number, seed = 1): Pixels {
  const data = Uint8Array.from(
    { length: width * height * 3 },
    (_, i) => (i * 7919 * seed + (i % 13) * 31) % 256,
  );
  return { width, height, data };
}

/** A latent of pictures, by the VAE of a checkpoint. */
export async function latentOf(...images: readonly Pixels[]): Promise<Latent> {
  const pixels = { kind: "IMAGE", images } as const;
  return valueIn(await runNode("VAEEncode", { pixels, vae: { kind: "VAE", name: "" } }), "LATENT");
}

/** The pictures that a latent decodes to. */
export async function decoded(samples: Latent, vae = ""): Promise<readonly Pixels[]> {
  const result = await runNode("VAEDecode", { samples, vae: { kind: "VAE", name: vae } });
  return valueIn(result, "IMAGE").images;
}

/** Mean difference of two pictures, in steps of 255. */
export function difference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Array.from(a).reduce((sum, value, i) => sum + Math.abs(value - (b[i] ?? Number.NaN)), 0) / a.length;
}

function unexpected(what: string): never {
  throw new Error(`no ${what} here`);
}
