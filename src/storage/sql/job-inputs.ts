import type { Insertable } from "kysely";
import { LRUCache } from "lru-cache";
import { z } from "zod";
import type { JobRecord } from "../../domain/job-record.ts";
import { writeJson } from "../../lib/lossless-json.ts";
import { json, labelsSchema, planSchema } from "./codecs.ts";
import { generationSchema } from "./generation-codec.ts";
import type { Db, JobInputTable } from "./schema.ts";

/** What a job was asked for. */
export type JobInputs = Pick<JobRecord, "note" | "labels" | "generation" | "plan">;

const inputRow = z.object({
  job_id: z.string(),
  note_json: json(z.string()),
  labels_json: json(labelsSchema),
  generation_json: json(generationSchema),
  plan_json: json(planSchema),
});

/** Up to how much JSON the cache keeps, in characters. Read, it takes a few times as much memory. */
const maxCachedLength = 8_000_000;

/**
 * Reads what jobs were asked for. That may be large and never changes, so what was read lately is kept: who drives a job
 * needs it with every event.
 */
export class JobInputReader {
  readonly #cache = new LRUCache<string, JobInputs>({ maxSize: maxCachedLength });

  /** Inputs of those of the jobs that are there. */
  async read(db: Db, jobIds: readonly string[]): Promise<ReadonlyMap<string, JobInputs>> {
    const found = new Map<string, JobInputs>();
    const missing: string[] = [];
    for (const id of jobIds) {
      const cached = this.#cache.get(id);
      if (cached === undefined) {
        missing.push(id);
      } else {
        found.set(id, cached);
      }
    }
    if (missing.length > 0) {
      const rows = await db.selectFrom("job_inputs").selectAll().where("job_id", "in", missing).execute();
      for (const row of rows) {
        const { job_id, note_json, labels_json, generation_json, plan_json } = inputRow.parse(row);
        const inputs = { note: note_json, labels: labels_json, generation: generation_json, plan: plan_json };
        found.set(job_id, inputs);
        this.#cache.set(job_id, inputs, { size: lengthOf(row) });
      }
    }
    return found;
  }
}

function lengthOf({ note_json, labels_json, generation_json, plan_json }: JobInputTable): number {
  return 100 + note_json.length + labels_json.length + generation_json.length + plan_json.length;
}

/** The row of `job_inputs` of a job. */
export function writeInputRow({ id, note, labels, generation, plan }: JobRecord): Insertable<JobInputTable> {
  return {
    job_id: id,
    note_json: writeJson(note),
    labels_json: writeJson(labels),
    generation_json: writeJson(generation),
    plan_json: writeJson(plan),
  };
}
