import { writeJson } from "../../lib/lossless-json.ts";
import type { NodeClasses } from "../node-class.ts";
import { boundsOf, choicesOf, type KnownGraph } from "./parameter-bounds.ts";
import { defaultMaxLength, type TemplateParameter, type WorkflowTemplate } from "./workflow-template.ts";

/**
 * JSON Schema (draft 2020-12) of the parameter map of a template, as text: what a run may give, by name. Choices and
 * bounds of the node inputs are in it as far as they are known.
 */
export function templateJsonSchema(template: WorkflowTemplate, classes?: NodeClasses): string {
  const known: KnownGraph = { graph: template.graph, classes };
  const required = template.parameters.filter(({ isRequired }) => isRequired).map(({ name }) => name);
  return writeJson({
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: template.name,
    ...(template.description !== "" && { description: template.description }),
    type: "object",
    properties: Object.fromEntries(
      template.parameters.map((parameter) => [parameter.name, schemaOf(parameter, known)]),
    ),
    ...(required.length > 0 && { required }),
    additionalProperties: false,
  });
}

type Schema = Readonly<Record<string, unknown>>;

function schemaOf(parameter: TemplateParameter, known: KnownGraph): Schema {
  const { title, description, default: value } = parameter;
  return {
    ...(title !== "" && { title }),
    ...(description !== "" && { description }),
    ...valueSchema(parameter, known),
    // A caller whose numbers end at 2^53 could not send it otherwise.
    ...(value !== undefined && { default: typeof value === "bigint" ? value.toString() : value }),
  };
}

function valueSchema(parameter: TemplateParameter, known: KnownGraph): Schema {
  switch (parameter.type) {
    case "string":
      return { type: "string", maxLength: parameter.maxLength ?? defaultMaxLength, pattern: "^[^\\r\\n]*$" };
    case "text":
      return { type: "string", maxLength: parameter.maxLength ?? defaultMaxLength };
    case "integer":
    case "seed":
      return { anyOf: [{ type: "integer", ...range(parameter, known) }, digits] };
    case "number":
      return { type: "number", ...range(parameter, known) };
    case "boolean":
      return { type: "boolean" };
    case "choice":
      return choiceSchema(parameter, known);
    case "image":
      return imageSchema;
  }
}

function range(parameter: TemplateParameter, known: KnownGraph): Schema {
  const { min, max } = boundsOf(parameter, known);
  return {
    ...(min !== undefined && { minimum: min }),
    ...(max !== undefined && { maximum: max }),
    ...(parameter.step !== undefined && { multipleOf: parameter.step }),
  };
}

function choiceSchema(parameter: TemplateParameter, known: KnownGraph): Schema {
  const choices = choicesOf(parameter, known);
  return choices === undefined || choices.length === 0
    ? { type: ["string", "number", "boolean"] }
    : { enum: choices };
}

/** An integer of more digits than a JSON number keeps. */
const digits: Schema = { type: "string", pattern: "^-?[0-9]{1,20}$" };

const imageSchema: Schema = {
  oneOf: [
    member("asset_id", { type: "string", pattern: "^[0-9a-f]{64}$" }),
    member("data", { type: "string", contentEncoding: "base64", minLength: 1 }),
    member("url", { type: "string", format: "uri", maxLength: 2_048 }),
  ],
};

function member(name: string, schema: Schema): Schema {
  return { type: "object", properties: { [name]: schema }, required: [name], additionalProperties: false };
}
