import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import type { Job } from "../../gen/comfyrpc/v1/job_pb.js";
import { JobState } from "../../gen/comfyrpc/v1/job_state_pb.js";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { findFreePort } from "../support/free-port.ts";
import { findPostgresBinaries, startPostgresServer } from "../support/postgres-server.ts";
import { startTestS3 } from "../support/s3.ts";
import { EngineLog } from "./engine-log.ts";
import { callForJob, type JobAccount, ReplicaClient } from "./job-caller.ts";
import { doMayhem, type Harm } from "./mayhem.ts";
import { Victim } from "./victim.ts";

export interface ChaosOptions {
  readonly jobCount: number;
  /** How many jobs are followed at once. */
  readonly callerCount: number;
  readonly stepMs: number;
  readonly stepCount: number;
  /** Makes the same choices each time; what they meet with is another matter. */
  readonly seed: number;
  /** Longest time for all of it, in milliseconds; what has not ended by then is stuck. */
  readonly boundMs: number;
  /** Told how it goes, in words. */
  readonly onNews?: (news: string) => void;
}

/** What became of the jobs. The lists say what was wrong, and are empty if all is well. */
export interface ChaosReport {
  readonly jobCount: number;
  readonly succeededCount: number;
  /** Accepted, and then unknown to the service. */
  readonly lost: readonly string[];
  /** Without an end when the time was up. */
  readonly stuck: readonly string[];
  /** Answered with something that is not the job's: a wrong picture, wrong events, two jobs for one request. */
  readonly wrong: readonly string[];
  /** Gave up since backends were lost too often, which is no fault of the service. */
  readonly failed: readonly string[];
  /** Run again although the first result could be had. */
  readonly needlessRuns: readonly string[];
  readonly executionCount: number;
  readonly repeatedJobCount: number;
  readonly harm: Harm;
  /** From the first submission to the last end, in milliseconds. */
  readonly timeToLastEndMs: number;
}

/**
 * Runs jobs on two replicas and two engines, all processes of their own, with PostgreSQL and an S3 store, while replicas
 * and engines are killed and frozen and the database is restarted. Then runs the same specs in peace and compares the
 * pictures.
 */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  await using stack = new AsyncDisposableStack();
  const random = randomOf(options.seed);
  const binaries = await findPostgresBinaries();
  if (binaries === undefined) {
    throw new Error("PostgreSQL is not installed");
  }
  const database = stack.use(await startPostgresServer(binaries));
  const s3 = stack.use(await startTestS3());
  const { path: directory } = stack.use(await mkdtempDisposable(join(tmpdir(), "comfyrpc-chaos-")));

  const log = new EngineLog();
  const engines: Victim[] = [];
  const engineUrls: string[] = [];
  for (const name of ["a", "b"]) {
    const port = await findFreePort();
    engineUrls.push(`${name}=http://127.0.0.1:${port}`);
    engines.push(
      stack.use(
        new Victim({
          name: `engine ${name}`,
          args: ["engine", "--port", `${port}`, "--step-ms", `${options.stepMs}`, "--log-level", "debug"],
          env: {},
          isUp: (line) => line.startsWith("http://"),
          onLine: (line, pid) => log.onLine(line, pid),
          onExit: (pid) => log.onExit(pid),
        }),
      ),
    );
  }
  const replicas: Victim[] = [];
  const clients: ReplicaClient[] = [];
  for (const name of ["1", "2"]) {
    const port = await findFreePort();
    clients.push(stack.use(new ReplicaClient(`http://127.0.0.1:${port}`)));
    replicas.push(
      stack.use(
        new Victim({
          name: `replica ${name}`,
          args: ["serve", "--port", `${port}`],
          env: {
            DATABASE_URL: database.url,
            COMFYUI_URL: engineUrls.join(","),
            COMFYRPC_DATA_DIR: join(directory, name),
            COMFYRPC_LEASE_SECONDS: `${leaseSeconds}`,
            COMFYRPC_LOG_LEVEL: "info",
            COMFYRPC_S3_BUCKET: s3.bucket,
            COMFYRPC_S3_ENDPOINT: s3.endpoint,
            COMFYRPC_S3_REGION: s3.region,
            COMFYRPC_S3_ACCESS_KEY_ID: s3.accessKeyId,
            COMFYRPC_S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
            COMFYRPC_S3_PATH_STYLE: "true",
          },
          isUp: (line) => line.includes('"msg":"serving"'),
          onLine: (line) => {
            if (/"level":(50|60|"error"|"fatal")/.test(line)) {
              options.onNews?.(`replica ${name}: ${line}`);
            }
          },
          onExit: () => {},
        }),
      ),
    );
  }
  await Promise.all([...engines, ...replicas].map((victim) => victim.start()));

  const bound = AbortSignal.timeout(options.boundMs);
  const peace = new AbortController();
  const mayhem = doMayhem(
    { replicas, engines, database, random, longestFreezeMs: 2_500 * leaseSeconds },
    AbortSignal.any([bound, peace.signal]),
  );
  const startMs = performance.now();
  const accounts = await followJobs(options, clients, random, bound);
  const timeToLastEndMs = performance.now() - startMs;
  peace.abort();
  const harm = await mayhem;

  const counts = countsOf(log);
  const expected = await pictureHashes(options, clients);
  return { ...judge(accounts, expected), ...counts, harm, timeToLastEndMs };
}

const leaseSeconds = 2;
const prompt = "a red fox in the snow";

async function followJobs(
  { jobCount, callerCount, stepCount, onNews }: ChaosOptions,
  replicas: readonly ReplicaClient[],
  random: () => number,
  signal: AbortSignal,
): Promise<JobAccount[]> {
  const accounts: JobAccount[] = [];
  let begun = 0;
  await Promise.all(
    Array.from({ length: callerCount }, async () => {
      while (begun < jobCount) {
        begun += 1;
        const account = await callForJob(BigInt(begun), { replicas, prompt, stepCount, random, signal });
        accounts.push(account);
        if (accounts.length % 25 === 0) {
          onNews?.(`${accounts.length} of ${jobCount} jobs have ended`);
        }
      }
    }),
  );
  return accounts;
}

/** The picture that each seed gives when nothing disturbs it. */
async function pictureHashes(
  { jobCount, stepCount }: ChaosOptions,
  replicas: readonly ReplicaClient[],
): Promise<ReadonlyMap<bigint, string>> {
  const hashes = new Map<bigint, string>();
  const signal = AbortSignal.timeout(240_000);
  const seeds = Array.from({ length: jobCount }, (_, i) => BigInt(i + 1));
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (let seed = seeds.pop(); seed !== undefined; seed = seeds.pop()) {
        const account = await callForJob(seed, { replicas, prompt, stepCount, random: () => 0.99, signal });
        hashes.set(seed, account.imageSha256 ?? "");
      }
    }),
  );
  return hashes;
}

function judge(accounts: readonly JobAccount[], expected: ReadonlyMap<bigint, string>) {
  const [lost, stuck, wrong, failed]: string[][] = [[], [], [], []];
  for (const account of accounts) {
    const { jobId, end, seed, imageSha256, answeredIds, complaints, sequences } = account;
    const name = `job ${jobId || `of seed ${seed}`}`;
    if (end === undefined) {
      (account.isUnknown ? lost : stuck)?.push(`${name}: ${complaints.join("; ")}`);
      continue;
    }
    const problems = [...complaints];
    if (answeredIds.size > 1) {
      problems.push(`one request was answered with ${answeredIds.size} jobs`);
    }
    if (end.lastSequence !== sequences.at(-1)) {
      problems.push(`it has ${end.lastSequence} events, of which ${sequences.length} were seen`);
    }
    if (end.state === JobState.SUCCEEDED) {
      if (imageSha256 !== expected.get(seed) || imageSha256 !== end.images[0]?.sha256) {
        problems.push("the picture is not that of its seed");
      }
    } else if (reasonOf(end) === "BACKEND_LOST") {
      failed?.push(`${name}: ${JobState[end.state]}, ${end.error?.message}`);
    } else {
      problems.push(`it ended as ${JobState[end.state]}: ${end.error?.message}`);
    }
    if (problems.length > 0) {
      wrong?.push(`${name}: ${problems.join("; ")}`);
    }
  }
  return {
    jobCount: accounts.length,
    succeededCount: accounts.filter(({ end }) => end?.state === JobState.SUCCEEDED).length,
    lost: lost ?? [],
    stuck: stuck ?? [],
    wrong: wrong ?? [],
    failed: failed ?? [],
  };
}

function reasonOf({ error }: Job): string | undefined {
  return error?.details.map((detail) => anyUnpack(detail, ErrorInfoSchema)).find((info) => info)?.reason;
}

function countsOf({ executionCount, repeatedJobCount, needlessRuns }: EngineLog) {
  return { executionCount, repeatedJobCount, needlessRuns };
}

/** A small generator of numbers that are the same for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
