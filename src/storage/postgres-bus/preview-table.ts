import { z } from "zod";
import type { BusConnection } from "./bus-connection.ts";

/*
 * Previews are too large for notifications. Their bytes go through a table with one row a job, the newest preview. It is
 * not logged: that costs least, and a server that crashes empties it, which is no loss.
 */

/** Makes the table if it is not there. */
export async function createPreviewTable(connection: BusConnection): Promise<void> {
  // The lock, as two replicas that begin at the same moment would both try; the look before, as a role that may only
  // use the table must not fail.
  await connection.query({
    text: `
      DO $$
      BEGIN
        PERFORM pg_advisory_xact_lock(hashtext('comfyrpc_previews'));
        IF to_regclass('comfyrpc_previews') IS NULL THEN
          CREATE UNLOGGED TABLE comfyrpc_previews (
            job_id text PRIMARY KEY,
            id text NOT NULL,
            data bytea NOT NULL,
            update_time timestamptz NOT NULL
          );
        END IF;
      END
      $$`,
  });
}

/** Puts previews in whose job ids, ids and bytes are `$1`, `$2` and `$3`, in place of older ones of their jobs. */
export const keepPreviews = `
  INSERT INTO comfyrpc_previews (job_id, id, data, update_time)
  SELECT job_id, id, data, now()
  FROM unnest($1::text[], $2::text[], $3::bytea[]) AS fresh (job_id, id, data)
  ORDER BY job_id -- all take the locks of rows in this order, so that none waits for one that waits for it
  ON CONFLICT (job_id) DO UPDATE
  SET id = excluded.id, data = excluded.data, update_time = excluded.update_time`;

/** Removes what nobody can want to see any more. */
export const removeStalePreviews =
  "DELETE FROM comfyrpc_previews WHERE update_time < now() - interval '1 minute'";

/** The bytes of a preview; `undefined` if another has taken its place. */
export async function readPreview(
  connection: BusConnection,
  jobId: string,
  id: string,
): Promise<Uint8Array | undefined> {
  const rows = await connection.query({
    name: "read preview",
    text: "SELECT data FROM comfyrpc_previews WHERE job_id = $1 AND id = $2",
    values: [jobId, id],
  });
  return previewRows.parse(rows)[0]?.data;
}

const previewRows = z.array(z.object({ data: z.instanceof(Uint8Array) }));
