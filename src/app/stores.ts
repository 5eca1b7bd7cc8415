import { join } from "node:path";
import type { Config } from "../config/config.ts";
import { ServiceError } from "../domain/errors.ts";
import { systemClock } from "../lib/clock.ts";
import type { AssetStore } from "../storage/asset-store.ts";
import type { BlobStore } from "../storage/blob-store.ts";
import type { EventBus } from "../storage/event-bus.ts";
import { openFilesystemBlobStore } from "../storage/filesystem/filesystem-blob-store.ts";
import { createInProcessEventBus } from "../storage/in-process/in-process-event-bus.ts";
import type { JobStore } from "../storage/job-store.ts";
import { openPostgresEventBus } from "../storage/postgres-bus/postgres-event-bus.ts";
import { DatabaseStartError } from "../storage/sql/database-failure.ts";
import { openPostgresDatabase } from "../storage/sql/postgres/open-postgres.ts";
import { openSqliteDatabase } from "../storage/sql/sqlite/open-sqlite.ts";
import type { StagingOptions } from "../storage/staging-area.ts";
import type { TemplateStore } from "../storage/template-store.ts";
import type { Logger } from "../telemetry/logger.ts";
import { StartProblem } from "./start-problem.ts";

/** Where jobs, images, templates and what happens to them are kept and passed on. */
export interface Stores {
  readonly jobs: JobStore;
  readonly assets: AssetStore;
  readonly templates: TemplateStore;
  readonly blobs: BlobStore;
  readonly bus: EventBus;
}

/**
 * Opens the stores that `config` names; `opened` owns them.
 *
 * @throws StartProblem if one cannot be used
 */
export async function openStores(
  config: Config,
  logger: Logger,
  opened: AsyncDisposableStack,
): Promise<Stores> {
  try {
    return await open(config, logger, opened);
  } catch (error) {
    if (error instanceof DatabaseStartError) {
      throw new StartProblem(error.message, { cause: error });
    }
    if (error instanceof ServiceError) {
      const cause = error.cause instanceof Error ? ` (${error.cause.message})` : "";
      throw new StartProblem(`${error.message}${cause}`, { cause: error });
    }
    throw error;
  }
}

async function open(config: Config, logger: Logger, opened: AsyncDisposableStack): Promise<Stores> {
  const deps = { clock: systemClock, logger };
  const { databaseUrl, dataDirectory } = config;
  if (databaseUrl === undefined) {
    const { jobs, assets, templates } = opened.use(await openSqliteDatabase(dataDirectory, deps));
    const blobs = opened.use(await openBlobs(config, {}, logger));
    return { jobs, assets, templates, blobs, bus: opened.use(createInProcessEventBus({ logger })) };
  }
  const { jobs, assets, templates } = opened.use(await openPostgresDatabase(databaseUrl, deps));
  const signal = AbortSignal.timeout(startTimeoutMs);
  const bus = opened.use(await openPostgresEventBus(databaseUrl, { logger, random: Math.random }, signal));
  // Nothing keeps replicas on one machine from having the same directory, as they have by default.
  const blobs = opened.use(await openBlobs(config, { leftBehindAfterMs: 3_600_000 }, logger));
  if (config.s3Bucket === undefined) {
    logger.warn(
      "jobs are in PostgreSQL, images in COMFYRPC_DATA_DIR: with several replicas, that must be one directory that all of them share, or COMFYRPC_S3_BUCKET must be set",
    );
  }
  return { jobs, assets, templates, blobs, bus };
}

const startTimeoutMs = 30_000;

async function openBlobs(config: Config, staging: StagingOptions, logger: Logger): Promise<BlobStore> {
  const { dataDirectory, s3Bucket: bucket, s3AccessKeyId, s3SecretAccessKey } = config;
  if (bucket === undefined) {
    return await openFilesystemBlobStore(join(dataDirectory, "blobs"), staging);
  }
  // Loaded only where it is wanted: the SDK takes a tenth of a second.
  const { openS3BlobStore } = await import("../storage/s3/s3-blob-store.ts");
  return await openS3BlobStore(
    {
      bucket,
      region: config.s3Region,
      pathStyle: config.s3PathStyle,
      keyPrefix: config.s3KeyPrefix,
      stagingDirectory: join(dataDirectory, "staging"),
      ...staging,
      ...(config.s3Endpoint !== undefined && { endpoint: config.s3Endpoint }),
      ...(config.s3PublicEndpoint !== undefined && { publicEndpoint: config.s3PublicEndpoint }),
      ...(s3AccessKeyId !== undefined &&
        s3SecretAccessKey !== undefined && {
          accessKeyId: s3AccessKeyId,
          secretAccessKey: s3SecretAccessKey,
        }),
    },
    { clock: systemClock, logger },
  );
}
