import { createHash } from "node:crypto";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { expect } from "vitest";
import { AssetService } from "../../gen/comfyrpc/v1/asset_service_pb.js";
import { ImageService } from "../../gen/comfyrpc/v1/image_service_pb.js";
import type { JobEvent } from "../../gen/comfyrpc/v1/job_event_pb.js";
import type { Job } from "../../gen/comfyrpc/v1/job_pb.js";
import { JobService } from "../../gen/comfyrpc/v1/job_service_pb.js";
import { Health } from "../../gen/grpc/health/v1/health_pb.js";

/** A caller that speaks gRPC over one connection of its own, which disposing of it closes. */
export interface JobClient extends Disposable {
  readonly images: Client<typeof ImageService>;
  readonly jobs: Client<typeof JobService>;
  readonly assets: Client<typeof AssetService>;
  readonly health: Client<typeof Health>;
}

export function connectJobs(url: string): JobClient {
  const sessionManager = new Http2SessionManager(url);
  const transport = createGrpcTransport({ baseUrl: url, sessionManager });
  return {
    images: createClient(ImageService, transport),
    jobs: createClient(JobService, transport),
    assets: createClient(AssetService, transport),
    health: createClient(Health, transport),
    [Symbol.dispose]: () => sessionManager.abort(),
  };
}

/** A watch of a job that is being read. */
export interface Watch {
  /** What has come so far. */
  readonly events: readonly JobEvent[];
  /** All events, once the job has ended. Rejects if the call fails, or has not ended after 30 s. */
  readonly ended: Promise<readonly JobEvent[]>;
  /** Resolves with the first event of this kind. Rejects if the watch ends without. */
  reached(kind: JobEvent["event"]["case"], found?: (event: JobEvent) => boolean): Promise<JobEvent>;
}

/** Begins to watch a job after an event of it. */
export function watchJob({ jobs }: JobClient, jobId: string, afterSequence = 0n): Watch {
  const events: JobEvent[] = [];
  const changes = new EventTarget();
  const tell = () => changes.dispatchEvent(new Event("change"));
  let isOver = false;
  const ended = (async () => {
    try {
      const signal = AbortSignal.timeout(30_000);
      for await (const { event } of jobs.watchJob({ jobId, afterSequence }, { signal })) {
        if (event !== undefined) events.push(event);
        tell();
      }
      return events;
    } finally {
      isOver = true;
      tell();
    }
  })();
  ended.catch(() => {}); // awaited by the test, if it comes that far
  return {
    events,
    ended,
    async reached(kind, found = () => true) {
      for (;;) {
        const event = events.find((one) => one.event.case === kind && found(one));
        if (event !== undefined) return event;
        if (isOver) {
          await ended;
          throw new Error(`the watch ended without ${kind}`);
        }
        await new Promise((resolve) => changes.addEventListener("change", resolve, { once: true }));
      }
    },
  };
}

/** Numbers of the lasting events among these; fails if one is missing or comes twice. */
export function lastingNumbers(events: readonly JobEvent[], after = 0n): bigint[] {
  const numbers = [...new Set(events.map(({ sequence }) => sequence))].filter((number) => number > after);
  expect(numbers).toEqual(numbers.map((_, i) => after + BigInt(i) + 1n));
  return numbers;
}

export async function getJob({ jobs }: JobClient, jobId: string): Promise<Job> {
  const { job } = await jobs.getJob({ jobId }, { timeoutMs: 20_000 });
  return job ?? expect.fail("no job");
}

/** Fetches the bytes of an asset, and checks them against their hash. */
export async function download({ assets }: JobClient, assetId: string): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const { data } of assets.downloadAsset({ assetId }, { timeoutMs: 20_000 })) parts.push(data);
  const bytes = Buffer.concat(parts);
  expect(createHash("sha256").update(bytes).digest("hex")).toBe(assetId);
  return bytes;
}
