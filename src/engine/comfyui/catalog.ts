import { type ModelKind, modelKinds, modelNames } from "../../domain/model-kind.ts";
import type { PixelSize } from "../../domain/resolve/resolve-inputs.ts";
import type { Catalog } from "../engine.ts";
import { type ComfyUiClient, NoAnswerError } from "./client.ts";
import { asObject, asString, asStrings } from "./json-shape.ts";
import { choicesOf } from "./node-class.ts";
import { Remembered, type RememberedDependencies } from "./remembered.ts";
import { SingleFlight } from "./single-flight.ts";

export interface CatalogDependencies extends RememberedDependencies {
  readonly client: ComfyUiClient;
}

/** Checkpoints whose size is remembered, at most. */
const maxRememberedSizes = 1_000;

/** The node class that loads models of a kind, and its input that lists them. */
const loaders: Readonly<
  Record<Exclude<ModelKind, "embedding">, readonly [classType: string, input: string]>
> = {
  checkpoint: ["CheckpointLoaderSimple", "ckpt_name"],
  lora: ["LoraLoader", "lora_name"],
  vae: ["VAELoader", "vae_name"],
  controlnet: ["ControlNetLoader", "control_net_name"],
  upscaler: ["UpscaleModelLoader", "model_name"],
  diffusionModel: ["UNETLoader", "unet_name"],
  textEncoder: ["CLIPLoader", "clip_name"],
};

/** Reads what a backend has, by what it says of the inputs of its node classes. */
export class CatalogReader {
  readonly #deps: CatalogDependencies;
  readonly #catalog: Remembered<Catalog>;
  readonly #sizeFlight = new SingleFlight<string, PixelSize | undefined>();
  /** Of one server: a new map for each, so that what is read late from another one goes nowhere. */
  #sizes = new Map<string, PixelSize | undefined>();

  constructor(deps: CatalogDependencies) {
    this.#deps = deps;
    this.#catalog = new Remembered("catalog", () => this.#readCatalog(), deps);
  }

  /**
   * To be called when the server may be another one than before: forgets sizes, and reads the names in the background.
   * Until they are there, those that are remembered are served, so that nobody waits for it.
   */
  reset(): void {
    this.#sizes = new Map();
    this.#catalog.reset();
    this.#catalog.refresh();
  }

  /** As {@link Engine.catalog} of engine.ts. */
  catalog(maxAgeMs: number, signal: AbortSignal): Promise<Catalog> {
    return this.#catalog.get(maxAgeMs, signal);
  }

  /** As {@link Engine.nativeSize} of engine.ts. */
  async nativeSize(checkpoint: string, signal: AbortSignal): Promise<PixelSize | undefined> {
    if (this.#sizes.has(checkpoint)) {
      return this.#sizes.get(checkpoint);
    }
    try {
      return await this.#sizeFlight.run(checkpoint, () => this.#readSize(checkpoint), signal);
    } catch (error) {
      if (!(error instanceof NoAnswerError)) {
        throw error;
      }
      this.#deps.logger.debug({ err: error }, "size of a checkpoint not known");
      return undefined;
    }
  }

  async #readCatalog(): Promise<Catalog> {
    const { client, lifetime } = this.#deps;
    const [sampler, ...names] = await Promise.all([
      client.nodeClass("KSampler", lifetime),
      ...modelKinds.map((kind) => this.#namesOf(kind)),
    ]);
    return {
      models: modelNames((kind) => names[modelKinds.indexOf(kind)] ?? []),
      samplers: optionsOf(sampler, "sampler_name"),
      schedulers: optionsOf(sampler, "scheduler"),
    };
  }

  async #namesOf(kind: ModelKind): Promise<readonly string[]> {
    const { client, lifetime } = this.#deps;
    if (kind === "embedding") {
      return client.embeddings(lifetime);
    }
    const [classType, inputName] = loaders[kind];
    return optionsOf(await client.nodeClass(classType, lifetime), inputName);
  }

  async #readSize(checkpoint: string): Promise<PixelSize | undefined> {
    const { client, lifetime } = this.#deps;
    const sizes = this.#sizes;
    const metadata = asObject(await client.modelMetadata("checkpoints", checkpoint, lifetime));
    const size = parseSize(asString(metadata["modelspec.resolution"]) ?? "");
    if (sizes.size < maxRememberedSizes) {
      sizes.set(checkpoint, size);
    }
    return size;
  }
}

/** The names that an input of a node class offers. A class or an input that is missing has none. */
function optionsOf(nodeClass: unknown, inputName: string): readonly string[] {
  const { required, optional } = asObject(asObject(nodeClass).input);
  return asStrings(choicesOf(asObject(required)[inputName] ?? asObject(optional)[inputName]));
}

/** `1024x1024`: width, then height. */
function parseSize(text: string): PixelSize | undefined {
  const [, width, height] = /^(\d{2,5})x(\d{2,5})$/.exec(text) ?? [];
  return width === undefined || height === undefined
    ? undefined
    : { widthPx: Number(width), heightPx: Number(height) };
}
