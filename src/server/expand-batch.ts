import { create } from "@bufbuild/protobuf";
import type { BatchGrid } from "../../gen/comfyrpc/v1/batch_pb.js";
import { type GenerationSpec, GenerationSpecSchema } from "../../gen/comfyrpc/v1/generation_pb.js";
import type { SubmitBatchRequest } from "../../gen/comfyrpc/v1/job_service_pb.js";
import type { FieldViolation } from "../domain/errors.ts";
import { invalidField, invalidFields } from "./invalid-fields.ts";
import type { MessageRules } from "./message-rules.ts";

/** One spec of a batch. */
export interface BatchEntry {
  readonly spec: GenerationSpec;
  /** Where in the request the caller wrote what is in this field of the spec. */
  pathOf(field: string): string;
}

/**
 * The specs that a batch comes to, in the order that `BatchGrid` documents. How many they are is checked before any of
 * them is made.
 *
 * @param limit most specs of a batch
 * @throws ServiceError `INVALID_FIELD` if there are more than `limit`, or some of a grid break the rules of the schema;
 * those of a list have been checked with the request
 */
export function expandBatch(
  { source }: Pick<SubmitBatchRequest, "source">,
  limit: number,
  rules: MessageRules,
): readonly BatchEntry[] {
  switch (source.case) {
    case "specs":
      assertFew("specs.specs", source.value.specs.length, limit);
      return source.value.specs.map((spec, i) => ({
        spec,
        pathOf: (field) => `specs.specs[${i}].${field}`,
      }));
    case "grid":
      return expandGrid(source.value, limit, rules);
    case undefined:
      throw invalidField("source", "exactly one of specs and grid is required");
  }
}

function expandGrid(grid: BatchGrid, limit: number, rules: MessageRules): BatchEntry[] {
  const { base } = grid;
  if (base === undefined) {
    throw invalidField("grid.base", "value is required");
  }
  const axes = axesOf(grid);
  assertFew(
    "grid",
    axes.reduce((count, { values }) => count * values.length, 1),
    limit,
  );
  const points = axes.reduce<readonly Point[]>(
    (outer, axis) => outer.flatMap((point) => axis.values.map((value) => [...point, { axis, value }])),
    [[]],
  );
  const violations = new Map<string, FieldViolation>();
  const entries = points.map((point): BatchEntry => {
    // What the values of the axes replace are fields of the spec itself: all below is shared, inline images above all.
    const spec = Object.assign(create(GenerationSpecSchema), base);
    for (const { value } of point) {
      value.set(spec);
    }
    for (const { field, description } of rules.violations(GenerationSpecSchema, spec)) {
      const violation = { field: pathInGrid(field, point), description };
      violations.set(`${violation.field} ${description}`, violation);
    }
    return { spec, pathOf: (field) => pathInGrid(field, point) };
  });
  if (violations.size > 0) {
    throw invalidFields([...violations.values()]);
  }
  return entries;
}

/** Several values for one field of the spec. */
interface Axis {
  /** The field of the spec. */
  readonly field: string;
  /** The field of the grid. */
  readonly name: string;
  readonly values: readonly AxisValue[];
}

interface AxisValue {
  readonly index: number;
  set(spec: GenerationSpec): void;
}

/** One value of each axis. */
type Point = readonly { readonly axis: Axis; readonly value: AxisValue }[];

/** Those that have values, the outermost first. */
function axesOf({ prompts, samplers, cfgs, steps, seeds }: BatchGrid): Axis[] {
  const axis = <T>(
    field: string,
    name: string,
    values: readonly T[],
    set: (spec: GenerationSpec, value: T) => void,
  ): Axis => ({
    field,
    name,
    values: values.map((value, index) => ({ index, set: (spec) => set(spec, value) })),
  });
  return [
    axis("prompt", "prompts", prompts, (spec, prompt) => {
      spec.prompt = prompt;
    }),
    axis("sampler", "samplers", samplers, (spec, sampler) => {
      spec.sampler = sampler;
    }),
    axis("cfg", "cfgs", cfgs, (spec, cfg) => {
      spec.cfg = cfg;
    }),
    axis("steps", "steps", steps, (spec, count) => {
      spec.steps = count;
    }),
    axis("seed", "seeds", seeds, (spec, seed) => {
      spec.seed = seed;
    }),
  ].filter(({ values }) => values.length > 0);
}

/** Where the caller wrote what is wrong in the spec at `point`. */
function pathInGrid(field: string, point: Point): string {
  const written = point.find(({ axis }) => axis.field === field);
  return written === undefined ? `grid.base.${field}` : `grid.${written.axis.name}[${written.value.index}]`;
}

function assertFew(field: string, count: number, limit: number): void {
  if (count > limit) {
    throw invalidField(field, `comes to ${count} jobs; this server allows at most ${limit} in a batch`);
  }
}
