import { create, fromJson, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate, type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import {
  type TemplateParameter as ParameterMessage,
  type Template,
  type TemplateParameterSchema,
  TemplateSchema,
  ParameterType as TypeMessage,
} from "../../../gen/comfyrpc/v1/template_pb.js";
import type { FieldViolation } from "../../domain/errors.ts";
import type { GraphValue } from "../../domain/graph.ts";
import type { DraftParameter } from "../../domain/template/define-template.ts";
import type {
  ParameterType,
  PlainValue,
  TemplateParameter,
} from "../../domain/template/workflow-template.ts";
import { writeJson } from "../../lib/lossless-json.ts";
import type { TemplateRecord, TemplateRevision, TemplateSummary } from "../../storage/template-store.ts";
import { invalidFields } from "../invalid-fields.ts";
import { defined } from "./defined.ts";

/** Writes a template, with its workflow. */
export function toTemplateMessage(template: TemplateRecord): Template {
  return create(TemplateSchema, { ...templateInit(template), workflowJson: writeJson(template.graph) });
}

/** Writes a template as it stands in a list: without its workflow. */
export function toListedTemplateMessage(template: TemplateSummary): Template {
  return create(TemplateSchema, templateInit(template));
}

function templateInit(template: TemplateSummary): MessageInitShape<typeof TemplateSchema> {
  return {
    name: template.name,
    version: template.version,
    description: template.description,
    parameters: template.parameters.map(toParameterInit),
    aliases: [...template.aliases],
    createTime: timestampFromDate(template.createTime),
    sha256: template.sha256,
  };
}

/** Writes a parameter. */
export function toParameterInit(
  parameter: TemplateParameter,
): MessageInitShape<typeof TemplateParameterSchema> {
  const { default: value, type, targets, choices, isRequired, ...rest } = parameter;
  return {
    ...rest,
    type: messageType[type],
    targets: targets.map((target) => ({ ...target })),
    required: isRequired,
    choices: choices.map(toValue),
    ...(value !== undefined && { defaultValue: toValue(value) }),
  };
}

/**
 * Reads parameters that have passed the rules of the schema.
 *
 * @throws ServiceError `INVALID_FIELD` if a choice is neither text, nor a number, nor true or false
 */
export function fromParameterMessages(parameters: readonly ParameterMessage[]): readonly DraftParameter[] {
  const violations: FieldViolation[] = [];
  const read = parameters.map(({ defaultValue, ...parameter }, index) => {
    const choices = parameter.choices.flatMap((choice, place): readonly PlainValue[] => {
      const value = fromValue(choice);
      const isPlain = value !== null && typeof value !== "object";
      if (isPlain && (typeof value !== "number" || Number.isFinite(value))) {
        return [value];
      }
      const field = `parameters[${index}].choices[${place}]`;
      violations.push({ field, description: "must be text, a number, or true or false" });
      return [];
    });
    const value = defaultValue && fromValue(defaultValue);
    return defined({
      name: parameter.name,
      title: parameter.title,
      description: parameter.description,
      type: domainType[parameter.type],
      targets: parameter.targets.map(({ nodeId, inputName }) => ({ nodeId, inputName })),
      isRequired: parameter.required,
      // JSON has no other way to say that there is none.
      default: value === null ? undefined : value,
      defaultsToFirst: parameter.defaultsToFirst,
      min: parameter.min,
      max: parameter.max,
      step: parameter.step,
      choices,
      maxLength: parameter.maxLength,
    });
  });
  if (violations.length > 0) {
    throw invalidFields(violations);
  }
  return read;
}

/** Reads which version of a template is meant. */
export function fromRevisionMessage(
  revision:
    | { readonly case: "version"; readonly value: number }
    | { readonly case: "alias"; readonly value: string }
    | { readonly case: undefined },
): TemplateRevision {
  switch (revision.case) {
    case "version":
      return { type: "version", version: revision.value };
    case "alias":
      return { type: "alias", alias: revision.value };
    default:
      return { type: "newest" };
  }
}

/** A double has 53 bits: an integer of more is written as a string of its digits, as runs give it. */
function toValue(value: PlainValue): Value {
  return fromJson(ValueSchema, typeof value === "bigint" ? value.toString() : value);
}

function fromValue({ kind }: Value): GraphValue {
  switch (kind.case) {
    case "stringValue":
    case "numberValue":
    case "boolValue":
      return kind.value;
    case "listValue":
      return kind.value.values.map(fromValue);
    case "structValue":
      return Object.fromEntries(
        Object.entries(kind.value.fields).map(([name, member]) => [name, fromValue(member)]),
      );
    default:
      return null;
  }
}

const messageType: Readonly<Record<ParameterType, TypeMessage>> = {
  string: TypeMessage.STRING,
  text: TypeMessage.TEXT,
  integer: TypeMessage.INTEGER,
  number: TypeMessage.NUMBER,
  boolean: TypeMessage.BOOLEAN,
  choice: TypeMessage.CHOICE,
  image: TypeMessage.IMAGE,
  seed: TypeMessage.SEED,
};

const domainType: Readonly<Record<TypeMessage, ParameterType>> = {
  [TypeMessage.UNSPECIFIED]: "string", // refused by the schema
  [TypeMessage.STRING]: "string",
  [TypeMessage.TEXT]: "text",
  [TypeMessage.INTEGER]: "integer",
  [TypeMessage.NUMBER]: "number",
  [TypeMessage.BOOLEAN]: "boolean",
  [TypeMessage.CHOICE]: "choice",
  [TypeMessage.IMAGE]: "image",
  [TypeMessage.SEED]: "seed",
};
