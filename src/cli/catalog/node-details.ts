import type { NodeClass, NodeInput } from "../../../gen/comfyrpc/v1/catalog_pb.js";
import { plainText } from "../plain-text.ts";
import { shorten } from "../shorten.ts";
import { tableLines } from "../table.ts";

/** All that people may want to know of a node class: what it is, then its inputs and its outputs. */
export function nodeDetails(nodeClass: NodeClass): string[] {
  const { inputs, outputs } = nodeClass;
  return [
    ...headLines(nodeClass),
    ...section(["INPUT", "TYPE", "DEFAULT", "VALUES"], inputs.map(inputRow)),
    ...section(
      ["OUTPUT", "TYPE"],
      outputs.map(({ name, type, list }) => [name, list ? `list of ${type}` : type]),
    ),
  ];
}

function headLines({ name, displayName, description, category, backends, ...facts }: NodeClass): string[] {
  const marks = [
    ...(facts.outputNode ? ["output node"] : []),
    ...(facts.deprecated ? ["deprecated"] : []),
    ...(facts.experimental ? ["experimental"] : []),
    ...(facts.undescribed ? ["not described by the backend"] : []),
  ];
  const title = displayName === name ? name : `${name}: ${displayName}`;
  const place = [category, ...marks].filter((text) => text !== "").join(", ");
  const others = facts.differs ? `; as ${backends[0]} has it, others differ` : "";
  return [
    place === "" ? title : `${title} (${place})`,
    ...description.split("\n"),
    `backends: ${backends.join(", ")}${others}`,
  ]
    .map(plainText)
    .filter((line) => line !== "");
}

function section(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return rows.length === 0 ? [] : ["", ...tableLines([header, ...rows.map((row) => row.map(plainText))])];
}

const longestDefault = 24;
const longestValues = 60;

function inputRow(input: NodeInput): string[] {
  const { name, type, required, defaultJson } = input;
  return [
    name,
    required ? type : `${type}, optional`,
    shorten(defaultJson, longestDefault),
    shorten(valuesOf(input), longestValues),
  ];
}

function valuesOf({ min, max, step, choices }: NodeInput): string {
  if (choices.length > 0) {
    return `${choices.length}: ${choices.join(", ")}`;
  }
  const range = [...(min === "" ? [] : [`from ${min}`]), ...(max === "" ? [] : [`to ${max}`])].join(" ");
  return [range, ...(step === "" ? [] : [`step ${step}`])].filter((text) => text !== "").join(", ");
}
