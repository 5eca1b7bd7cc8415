import { z } from "zod";
import { isServiceError } from "../domain/errors.ts";
import { defineTemplate } from "../domain/template/define-template.ts";
import { proposeParameters } from "../domain/template/propose-parameters.ts";
import {
  parameterTypes,
  type TemplateContent,
  templateNamePattern,
} from "../domain/template/workflow-template.ts";
import type { WorkflowLimits } from "../domain/workflow/parse-workflow.ts";
import { readJson, writeJson } from "../lib/lossless-json.ts";
import { readApiWorkflow } from "./read-api-workflow.ts";

const plainValue = z.union([z.string(), z.number(), z.bigint(), z.boolean()]);

/** As `TemplateParameter` of the public API is written, but for the short names of types. */
const parameter = z.strictObject({
  name: z.string(),
  title: z.string().default(""),
  description: z.string().default(""),
  type: z.enum(parameterTypes),
  targets: z.array(z.strictObject({ node_id: z.string(), input_name: z.string() })),
  required: z.boolean().default(false),
  default_value: plainValue.exactOptional(),
  defaults_to_first: z.boolean().default(false),
  min: z.number().exactOptional(),
  max: z.number().exactOptional(),
  step: z.number().exactOptional(),
  choices: z.array(plainValue).default([]),
  max_length: z.int().min(1).exactOptional(),
});

const templateFile = z.strictObject({
  name: z.string().regex(templateNamePattern, {
    error: "must be 1 to 63 lowercase letters, digits, - and _, the first a letter or digit",
  }),
  description: z.string().default(""),
  /** Left out: what is proposed for the workflow. */
  parameters: z.array(parameter).exactOptional(),
  workflow: z.record(z.string(), z.unknown()),
});

/** A template file cannot be used. The text lists every problem, a line each. */
export class TemplateFileError extends Error {
  override readonly name = "TemplateFileError";
}

/**
 * Reads the text of a template file: a JSON object with `name`, `description`, `parameters` and `workflow`, the last in
 * API format.
 *
 * @throws TemplateFileError
 */
export function parseTemplateFile(text: string, limits: WorkflowLimits): TemplateContent {
  const read = templateFile.safeParse(parseJson(text));
  if (!read.success) {
    throw new TemplateFileError(
      read.error.issues.map(({ path, message }) => `${path.join(".") || "the file"}: ${message}`).join("\n"),
    );
  }
  const { name, description, parameters, workflow } = read.data;
  try {
    const graph = readApiWorkflow(writeJson(workflow), limits);
    return defineTemplate({
      ...{ name, description, graph },
      parameters: parameters?.map(toDraft) ?? proposeParameters(graph),
    });
  } catch (error) {
    if (!isServiceError(error)) {
      throw error;
    }
    const { violations = [], nodes = [] } = error.details;
    const problems = [
      ...violations.map(({ field, description: problem }) => `${field}: ${problem}`),
      ...nodes.map(({ message }) => `workflow: ${message}`),
    ];
    throw new TemplateFileError(problems.join("\n") || error.message, { cause: error });
  }
}

function toDraft({
  targets,
  required,
  default_value,
  defaults_to_first,
  max_length,
  ...rest
}: z.output<typeof parameter>) {
  return {
    ...rest,
    targets: targets.map(({ node_id, input_name }) => ({ nodeId: node_id, inputName: input_name })),
    isRequired: required,
    defaultsToFirst: defaults_to_first,
    ...(default_value !== undefined && { default: default_value }),
    ...(max_length !== undefined && { maxLength: max_length }),
  };
}

function parseJson(text: string): unknown {
  try {
    return readJson(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) {
      throw error;
    }
    throw new TemplateFileError(`it is not JSON: ${error.message}`, { cause: error });
  }
}
