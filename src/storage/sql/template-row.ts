import type { Insertable, Selectable } from "kysely";
import { z } from "zod";
import {
  type PlainValue,
  parameterTypes,
  type TemplateParameter,
  type WorkflowTemplate,
} from "../../domain/template/workflow-template.ts";
import { writeJson } from "../../lib/lossless-json.ts";
import { graphSchema, json } from "./codecs.ts";
import type { TemplateVersionTable } from "./schema.ts";

const plainValue: z.ZodType<PlainValue> = z.union([z.string(), z.number(), z.bigint(), z.boolean()]);

const parameterSchema: z.ZodType<TemplateParameter> = z.object({
  name: z.string(),
  title: z.string(),
  description: z.string(),
  type: z.enum(parameterTypes),
  targets: z.array(z.object({ nodeId: z.string(), inputName: z.string() })),
  isRequired: z.boolean(),
  default: plainValue.exactOptional(),
  defaultsToFirst: z.boolean(),
  min: z.number().exactOptional(),
  max: z.number().exactOptional(),
  step: z.number().exactOptional(),
  choices: z.array(plainValue),
  maxLength: z.number().exactOptional(),
});

const summaryRow = z.object({
  name: z.string(),
  version: z.int(),
  sha256: z.string(),
  create_time: z.int().transform((ms) => new Date(ms)),
  description_json: json(z.string()),
  parameters_json: json(z.array(parameterSchema)),
});

const graphRow = z.object({ graph_json: json(graphSchema) });

/** Reads a row of `template_versions`. */
export function readTemplateRow(row: Selectable<TemplateVersionTable>): WorkflowTemplate {
  return { ...readSummaryRow(row), graph: graphRow.parse(row).graph_json };
}

/** Reads a row of `template_versions` but for its graph. */
export function readSummaryRow(
  row: Selectable<Omit<TemplateVersionTable, "graph_json">>,
): Omit<WorkflowTemplate, "graph"> {
  const read = summaryRow.parse(row);
  return {
    name: read.name,
    version: read.version,
    sha256: read.sha256,
    createTime: read.create_time,
    description: read.description_json,
    parameters: read.parameters_json,
  };
}

/** The row of `template_versions` that {@link readTemplateRow} reads as `template`. */
export function writeTemplateRow(
  tenant: string,
  template: WorkflowTemplate,
): Insertable<TemplateVersionTable> {
  return {
    tenant,
    name: template.name,
    version: template.version,
    sha256: template.sha256,
    create_time: template.createTime.getTime(),
    description_json: writeJson(template.description),
    graph_json: writeJson(template.graph),
    parameters_json: writeJson(template.parameters),
  };
}
