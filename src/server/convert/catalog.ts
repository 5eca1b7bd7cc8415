import { create } from "@bufbuild/protobuf";
import {
  ModelKind,
  type NodeClass as NodeClassMessage,
  NodeClassSchema,
  type NodeInput as NodeInputMessage,
  NodeInputSchema,
} from "../../../gen/comfyrpc/v1/catalog_pb.js";
import type { ModelEntry, NamedEntry, NodeClassEntry } from "../../catalog/merge-catalogs.ts";
import { type ModelKind as DomainKind, modelKinds } from "../../domain/model-kind.ts";
import type { NodeInput } from "../../domain/node-class.ts";
import { writeJson } from "../../lib/lossless-json.ts";

/** Writes something that backends have. */
export function toNamedInit({ name, backends }: NamedEntry) {
  return { name, backends: [...backends] };
}

/** Writes a model. */
export function toModelInit(entry: ModelEntry) {
  return { ...toNamedInit(entry), kind: messageModelKind[entry.kind] };
}

/** The kinds that a request names, which the rules of the schema have checked. */
export function fromModelKinds(kinds: readonly ModelKind[]): readonly DomainKind[] {
  return kinds.flatMap((kind) => domainKind.get(kind) ?? []);
}

/** Writes a node class, with its inputs and outputs if `isFull`. */
export function toNodeClassMessage(entry: NodeClassEntry, isFull: boolean): NodeClassMessage {
  const { nodeClass } = entry;
  return create(NodeClassSchema, {
    ...toNamedInit(entry),
    displayName: nodeClass.displayName,
    description: nodeClass.description,
    category: nodeClass.category,
    outputNode: nodeClass.isOutput,
    deprecated: nodeClass.isDeprecated,
    experimental: nodeClass.isExperimental,
    inputs: isFull ? nodeClass.inputs.map(toInputMessage) : [],
    outputs: isFull ? nodeClass.outputs.map(({ name, type, isList }) => ({ name, type, list: isList })) : [],
    differs: entry.differs,
    module: nodeClass.module ?? "",
    undescribed: nodeClass.isUndescribed ?? false,
  });
}

function toInputMessage(input: NodeInput): NodeInputMessage {
  const { choices = [], options } = input;
  const areTexts = choices.every((choice) => typeof choice === "string");
  const rest = Object.entries(options).filter(([key]) => !isSaidElsewhere(key, input));
  return create(NodeInputSchema, {
    name: input.name,
    required: input.isRequired,
    type: input.type,
    description: typeof options.tooltip === "string" ? options.tooltip : "",
    defaultJson: input.default === undefined ? "" : writeJson(input.default),
    min: numberText(input.min),
    max: numberText(input.max),
    step: numberText(input.step),
    choices: choices.map((choice) => (areTexts ? `${choice}` : writeJson(choice))),
    choicesAreJson: !areTexts,
    optionsJson: rest.length === 0 ? "" : writeJson(Object.fromEntries(rest)),
  });
}

function isSaidElsewhere(key: string, input: NodeInput): boolean {
  switch (key) {
    case "tooltip":
      return typeof input.options.tooltip === "string";
    case "options":
      return input.choices !== undefined;
    case "default":
    case "min":
    case "max":
    case "step":
      return input[key] !== undefined;
    default:
      return false;
  }
}

function numberText(value: number | bigint | undefined): string {
  return value === undefined ? "" : writeJson(value);
}

/** How the API calls each kind of model. */
export const messageModelKind: Readonly<Record<DomainKind, ModelKind>> = {
  checkpoint: ModelKind.CHECKPOINT,
  lora: ModelKind.LORA,
  vae: ModelKind.VAE,
  controlnet: ModelKind.CONTROLNET,
  upscaler: ModelKind.UPSCALER,
  diffusionModel: ModelKind.DIFFUSION_MODEL,
  textEncoder: ModelKind.TEXT_ENCODER,
  embedding: ModelKind.EMBEDDING,
};

const domainKind: ReadonlyMap<ModelKind, DomainKind> = new Map(
  modelKinds.map((kind) => [messageModelKind[kind], kind]),
);
