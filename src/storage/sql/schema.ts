import { type Kysely, type RawBuilder, sql } from "kysely";

/**
 * The tables, as both databases have them. Times are milliseconds since 1970, `…_json` columns hold what
 * `lib/lossless-json.ts` writes, and ids compare by their bytes on both.
 */
export interface Tables {
  schema_migrations: MigrationTable;
  jobs: JobTable;
  job_inputs: JobInputTable;
  job_labels: JobLabelTable;
  job_events: JobEventTable;
  job_assets: JobAssetTable;
  batches: BatchTable;
  requests: RequestTable;
  leases: LeaseTable;
  assets: AssetTable;
  blobs: BlobTable;
  secrets: SecretTable;
  templates: TemplateTable;
  template_versions: TemplateVersionTable;
  template_aliases: TemplateAliasTable;
  write_checks: WriteCheckTable;
}

/** The database, or a transaction in it. */
export type Db = Kysely<Tables>;

/** Which migrations the database has had. */
export interface MigrationTable {
  version: number;
  name: string;
  apply_time: number;
}

/**
 * What has become of each job. Rows are small, since they are rewritten with every event; what never changes and may be
 * large is in `job_inputs`.
 */
export interface JobTable {
  id: string;
  tenant: string;
  request_id: string | null;
  batch_id: string | null;
  /** 0 for a job that is in no batch, so that it can be compared in the order of the queue. */
  batch_index: number;
  reuse_key: string;
  retention_ms: number;
  create_time: number;
  /** The template that it runs; both are null if it runs none. */
  template_name: string | null;
  template_version: number | null;

  state: string;
  last_sequence: number;
  queue_deadline: number;
  /** The last attempt; all four are null before the first. */
  attempt_number: number | null;
  attempt_prompt_id: string | null;
  attempt_backend: string | null;
  attempt_fate: string | null;
  /** The attempt as it was when the job was claimed last, so that the claim can be taken back; null if there was none. */
  attempt_before_json: string | null;
  start_time: number | null;
  images_json: string;
  /** Null in rows of before there were any. */
  outputs_json: string | null;
  failure_json: string | null;
  result_json: string | null;
  end_time: number | null;
  expire_time: number | null;

  /** Number of calls that wait for it. */
  attached_count: number;
  /** Token of the lease of `attempt_backend` under which it may be written to; null unless a backend has it. */
  lease_token: number | null;
  /** The last write of who drives it, and the numbers of the events that this made (none if last < first). */
  last_write_id: string | null;
  last_write_first: number | null;
  last_write_last: number | null;
}

/** What a job was asked for. Never changed. */
export interface JobInputTable {
  job_id: string;
  note_json: string;
  labels_json: string;
  generation_json: string;
  plan_json: string;
}

/** The labels once more, to be searched; with what orders the jobs, so that one index finds the newest. */
export interface JobLabelTable {
  job_id: string;
  key: string;
  /** As JSON: it may hold any characters, and PostgreSQL keeps no NUL. */
  value_json: string;
  tenant: string;
  create_time: number;
}

export interface JobEventTable {
  job_id: string;
  sequence: number;
  time: number;
  data_json: string;
}

/** Which assets a job refers to, as long as the job is kept. The asset may be put later than the reference. */
export interface JobAssetTable {
  job_id: string;
  tenant: string;
  asset_id: string;
}

/** Gone with its last job. */
export interface BatchTable {
  id: string;
  tenant: string;
  request_id: string | null;
  create_time: number;
}

/** Request ids that are taken. */
export interface RequestTable {
  tenant: string;
  id: string;
  fingerprint: string;
  batch_id: string | null;
  kept_until: number;
}

/** Who drives each backend. Rows stay, since tokens must rise for ever. */
export interface LeaseTable {
  backend: string;
  token: number;
  /** Null: it was given back. */
  owner: string | null;
  /** When the lease runs out, ran out, or was given back. */
  driven_until: number;
}

export interface AssetTable {
  tenant: string;
  /** SHA-256 of its bytes. */
  id: string;
  size_bytes: number;
  media_type: string;
  /** 0 for what is no picture. */
  width_px: number;
  height_px: number;
  file_name: string;
  create_time: number;
  expire_time: number;
  /** The job that made it; all four are null for an upload. */
  origin_job_id: string | null;
  /** Null for what is no image. */
  origin_image_index: number | null;
  origin_node_id: string | null;
  /** Decimal, since it has 64 bits without a sign. */
  origin_seed: string | null;
}

export interface BlobTable {
  sha256: string;
  pinned_time: number;
}

export interface SecretTable {
  name: string;
  /** Base64. */
  value: string;
}

/** One row for each name that was ever registered. Rows stay, so that no number is given twice. */
export interface TemplateTable {
  tenant: string;
  name: string;
  /** The highest number that was given. */
  last_version: number;
}

/** Never changed. */
export interface TemplateVersionTable {
  tenant: string;
  name: string;
  version: number;
  /** Of its content: no two versions of a template have the same. */
  sha256: string;
  create_time: number;
  description_json: string;
  graph_json: string;
  parameters_json: string;
}

export interface TemplateAliasTable {
  tenant: string;
  name: string;
  alias: string;
  version: number;
}

/** One row, written to find out whether the database takes writes. */
export interface WriteCheckTable {
  id: number;
  check_time: number;
}

/**
 * Conditions on `jobs`. The values are part of the text and not parameters, since a database only uses a partial index
 * if it can see that the condition implies that of the index.
 */
export const isQueued: RawBuilder<boolean> = sql`jobs.state = 'queued'`;
export const isWithBackend: RawBuilder<boolean> = sql`jobs.state in ('running', 'cancelling')`;
