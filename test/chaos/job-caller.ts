import { createHash, randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { AssetService } from "../../gen/comfyrpc/v1/asset_service_pb.js";
import { ImageMetadata } from "../../gen/comfyrpc/v1/generation_pb.js";
import type { Job } from "../../gen/comfyrpc/v1/job_pb.js";
import { JobService } from "../../gen/comfyrpc/v1/job_service_pb.js";
import { JobState } from "../../gen/comfyrpc/v1/job_state_pb.js";

/** A replica, as a caller sees it. Disposing of it closes its connection. */
export class ReplicaClient implements Disposable {
  readonly jobs: Client<typeof JobService>;
  readonly assets: Client<typeof AssetService>;
  readonly #session: Http2SessionManager;

  constructor(url: string) {
    // Without pings, whose timeout connect-node may raise where nobody can catch it; attempts have a bound of their own.
    this.#session = new Http2SessionManager(url);
    const transport = createGrpcTransport({ baseUrl: url, sessionManager: this.#session });
    this.jobs = createClient(JobService, transport);
    this.assets = createClient(AssetService, transport);
  }

  [Symbol.dispose](): void {
    this.#session.abort();
  }
}

/** What a caller saw of one job. */
export interface JobAccount {
  readonly seed: bigint;
  readonly requestId: string;
  jobId: string;
  /** Numbers of the lasting events that came, in the order in which they came, over all watches. */
  readonly sequences: bigint[];
  /** Ids that repeats of the submission were answered with. */
  readonly answeredIds: Set<string>;
  watches: number;
  /** The job at its end; `undefined` as long as it has none, as far as the caller knows. */
  end?: Job;
  imageSha256?: string;
  /** Whether the service last said that it does not know the job. */
  isUnknown: boolean;
  /** What was wrong, in words. */
  readonly complaints: string[];
}

export interface CallerOptions {
  readonly replicas: readonly ReplicaClient[];
  readonly prompt: string;
  readonly stepCount: number;
  /** A number from 0 up to, not including, 1. */
  readonly random: () => number;
  readonly signal: AbortSignal;
}

/** Submits a job and follows it to its end, on whatever replica answers, as a careful caller does. */
export async function callForJob(seed: bigint, options: CallerOptions): Promise<JobAccount> {
  const account: JobAccount = {
    seed,
    requestId: randomUUID(),
    jobId: "",
    sequences: [],
    answeredIds: new Set(),
    watches: 0,
    isUnknown: false,
    complaints: [],
  };
  try {
    await persist(account, options, async (replica, signal) => {
      const { job } = await replica.jobs.submitJob(
        {
          spec: {
            prompt: options.prompt,
            widthPx: 64,
            heightPx: 64,
            steps: options.stepCount,
            seed,
            output: { metadata: ImageMetadata.STRIP },
          },
          requestId: account.requestId,
        },
        { signal },
      );
      account.jobId = job?.jobId ?? "";
      account.answeredIds.add(account.jobId);
      // Now and then the answer gets lost, and the caller asks again.
      if (options.random() < 0.2 && account.answeredIds.size === 1) {
        throw new Error("pretends not to have heard");
      }
    });
    await persist(account, options, (replica, signal) => watch(account, replica, signal));
    await persist(account, options, async (replica, signal) => {
      const { job } = await replica.jobs.getJob({ jobId: account.jobId }, { signal });
      if (job?.state === JobState.SUCCEEDED) {
        account.imageSha256 = await download(replica, job.images[0]?.assetId ?? "", signal);
      }
      if (job !== undefined) {
        account.end = job;
      }
    });
  } catch (error) {
    if (!options.signal.aborted) {
      throw error;
    }
    account.complaints.push(`no end was seen: ${String(error)}`);
  }
  return account;
}

async function watch(account: JobAccount, replica: ReplicaClient, signal: AbortSignal): Promise<void> {
  account.watches += 1;
  const afterSequence = account.sequences.at(-1) ?? 0n;
  for await (const { event } of replica.jobs.watchJob({ jobId: account.jobId, afterSequence }, { signal })) {
    const last = account.sequences.at(-1) ?? 0n;
    if (event !== undefined && event.sequence !== last) {
      if (event.sequence !== last + 1n) {
        account.complaints.push(`event ${event.sequence} came after event ${last}`);
      }
      account.sequences.push(event.sequence);
    }
    if (event?.event.case === "completed" || event?.event.case === "failed") {
      return;
    }
  }
  throw new Error("the watch ended before the job did");
}

async function download(replica: ReplicaClient, assetId: string, signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  for await (const { data } of replica.assets.downloadAsset({ assetId }, { signal })) {
    hash.update(data);
  }
  return hash.digest("hex");
}

/** Tries on one replica after the other, until it works or the time is up. */
async function persist(
  account: JobAccount,
  { replicas, random, signal }: CallerOptions,
  work: (replica: ReplicaClient, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  for (let i = Math.floor(random() * replicas.length); ; i++) {
    const replica = replicas[i % replicas.length];
    if (replica === undefined) {
      throw new Error("there are no replicas");
    }
    try {
      return await work(replica, AbortSignal.any([signal, AbortSignal.timeout(attemptTimeoutMs)]));
    } catch (error) {
      account.isUnknown = error instanceof ConnectError && error.code === Code.NotFound;
      // Whatever it was, a careful caller tries again: what must not be lost is counted by the verdict.
      await sleep(100 + 200 * random(), undefined, { signal });
    }
  }
}

/** A replica that is frozen keeps its connections open and says nothing. */
const attemptTimeoutMs = 8_000;
