import { sql } from "kysely";
import type { Migration } from "./migration.ts";

/** The first version: jobs, who drives them, and the assets that they make. */
export const jobsAndAssets: Migration = {
  name: "jobs and assets",
  statements: ({ key, text, int, tableOptions }) => [
    sql`create table jobs (
      id ${key} primary key,
      tenant ${key} not null,
      request_id ${key},
      batch_id ${key},
      batch_index ${int} not null,
      reuse_key ${key} not null,
      retention_ms ${int} not null,
      create_time ${int} not null,
      state ${key} not null,
      last_sequence ${int} not null,
      queue_deadline ${int} not null,
      attempt_number ${int},
      attempt_prompt_id ${key},
      attempt_backend ${key},
      attempt_fate ${key},
      attempt_before_json ${text},
      start_time ${int},
      images_json ${text} not null,
      failure_json ${text},
      result_json ${text},
      end_time ${int},
      expire_time ${int},
      attached_count ${int} not null,
      lease_token ${int},
      last_write_id ${key},
      last_write_first ${int},
      last_write_last ${int}
    ) ${tableOptions}`,
    // The work there is. These are partial, so that what has ended costs them nothing.
    sql`create index jobs_in_queue on jobs (create_time, batch_index, id) where state = 'queued'`,
    sql`create index jobs_by_deadline on jobs (queue_deadline) where state = 'queued'`,
    sql`create index jobs_waited_for on jobs (id) where state = 'queued' and attached_count > 0`,
    sql`create index jobs_on_backend on jobs (attempt_backend) where state in ('running', 'cancelling')`,
    // What callers look for.
    sql`create index jobs_by_time on jobs (tenant, create_time, id)`,
    sql`create index jobs_by_state on jobs (tenant, state, create_time, id)`,
    sql`create index jobs_by_batch on jobs (batch_id, batch_index) where batch_id is not null`,
    sql`create index jobs_by_request on jobs (tenant, request_id) where request_id is not null`,
    sql`create index jobs_by_reuse_key on jobs (tenant, reuse_key, create_time, id) where state = 'succeeded'`,
    sql`create index jobs_by_expiry on jobs (expire_time) where expire_time is not null`,

    sql`create table job_inputs (
      job_id ${key} primary key references jobs (id) on delete cascade,
      note_json ${text} not null,
      labels_json ${text} not null,
      generation_json ${text} not null,
      plan_json ${text} not null
    ) ${tableOptions}`,

    sql`create table job_labels (
      job_id ${key} not null references jobs (id) on delete cascade,
      key ${key} not null,
      value_json ${key} not null,
      tenant ${key} not null,
      create_time ${int} not null,
      primary key (job_id, key)
    ) ${tableOptions}`,
    sql`create index job_labels_by_value on job_labels (tenant, key, value_json, create_time, job_id)`,

    sql`create table job_events (
      job_id ${key} not null references jobs (id) on delete cascade,
      sequence ${int} not null,
      time ${int} not null,
      data_json ${text} not null,
      primary key (job_id, sequence)
    ) ${tableOptions}`,

    sql`create table job_assets (
      job_id ${key} not null references jobs (id) on delete cascade,
      tenant ${key} not null,
      asset_id ${key} not null,
      primary key (job_id, asset_id)
    ) ${tableOptions}`,
    sql`create index job_assets_by_asset on job_assets (tenant, asset_id)`,

    sql`create table batches (
      id ${key} primary key,
      tenant ${key} not null,
      request_id ${key},
      create_time ${int} not null
    ) ${tableOptions}`,

    sql`create table requests (
      tenant ${key} not null,
      id ${key} not null,
      fingerprint ${text} not null,
      batch_id ${key},
      kept_until ${int} not null,
      primary key (tenant, id)
    ) ${tableOptions}`,
    sql`create index requests_by_time on requests (kept_until)`,

    sql`create table leases (
      backend ${key} primary key,
      token ${int} not null,
      owner ${key},
      driven_until ${int} not null
    ) ${tableOptions}`,

    sql`create table assets (
      tenant ${key} not null,
      id ${key} not null,
      size_bytes ${int} not null,
      media_type ${text} not null,
      width_px ${int} not null,
      height_px ${int} not null,
      file_name ${text} not null,
      create_time ${int} not null,
      expire_time ${int} not null,
      origin_job_id ${key},
      origin_image_index ${int},
      origin_node_id ${text},
      origin_seed ${text},
      primary key (tenant, id)
    ) ${tableOptions}`,
    sql`create index assets_by_expiry on assets (expire_time)`,
    sql`create index assets_by_id on assets (id)`,

    sql`create table blobs (
      sha256 ${key} primary key,
      pinned_time ${int} not null
    ) ${tableOptions}`,
    sql`create index blobs_by_time on blobs (pinned_time)`,

    sql`create table secrets (
      name ${key} primary key,
      value ${text} not null
    ) ${tableOptions}`,

    sql`create table write_checks (
      id ${int} primary key,
      check_time ${int} not null
    ) ${tableOptions}`,
  ],
};
