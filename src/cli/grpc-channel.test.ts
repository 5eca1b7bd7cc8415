import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import type { AssetService } from "../../gen/comfyrpc/v1/asset_service_pb.js";
import { WorkflowFailureSchema } from "../../gen/comfyrpc/v1/error_pb.js";
import {
  type HealthResponse,
  HealthResponseSchema,
  type ImageService,
} from "../../gen/comfyrpc/v1/image_service_pb.js";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { type AssetClient, createAssetClient } from "./asset-client.ts";
import { GrpcChannel } from "./grpc-channel.ts";
import { createImageClient, type ImageClient } from "./image-client.ts";
import { RpcError } from "./rpc-error.ts";
import { parseServerAddress } from "./server-address.ts";
import { imageOf, jobEvents, staged, workEvents } from "./testing/staged-events.ts";
import { startStagedService } from "./testing/staged-service.ts";
import { otherTestCertificate, testCertificate } from "./testing/tls-certificate.ts";

const request = { spec: { prompt: "a red fox" } };

/** Runs `use` with a client of a service that has `methods`; afterwards no connection may be left. */
async function withService(
  methods: Partial<ServiceImpl<typeof ImageService>>,
  use: (client: ImageClient, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const signal = AbortSignal.timeout(10_000);
  await using service = await startStagedService(methods);
  {
    using channel = new GrpcChannel({ address: parseServerAddress(service.address) });
    await use(createImageClient(channel), signal);
  }
  await service.idle(signal);
}

async function failureOf(promise: Promise<unknown>): Promise<RpcError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof RpcError)) throw new Error("expected an RpcError", { cause: error });
  return error;
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

describe("unary calls", () => {
  it("carry request, headers and response", async () => {
    const seen: (string | null)[] = [];
    const methods: Partial<ServiceImpl<typeof ImageService>> = {
      generate: ({ spec }, { requestHeader }) => {
        seen.push(spec?.prompt ?? "", requestHeader.get("x-request-id"));
        return { images: [imageOf(Buffer.alloc(6_000_000, 7))] };
      },
    };
    await withService(methods, async (client, signal) => {
      const response = await client.generate(request, { headers: { "x-request-id": "r1" } }, signal);
      expect(seen).toEqual(["a red fox", "r1"]);
      expect(response.images[0]?.data).toHaveLength(6_000_000);
    });
  });

  it("fail with every detail that the service gave", async () => {
    const methods = {
      generate: () => {
        throw new ConnectError("näh: queue is full", Code.ResourceExhausted, undefined, [
          {
            desc: ErrorInfoSchema,
            value: { reason: "QUEUE_FULL", domain: "comfyrpc", metadata: { limit: "3" } },
          },
          { desc: BadRequestSchema, value: { fieldViolations: [{ field: "spec.cfg", description: "odd" }] } },
          { desc: WorkflowFailureSchema, value: { nodes: [{ nodeId: "3", message: "bad" }] } },
          { desc: RetryInfoSchema, value: { retryDelay: durationFromMs(2_500) } },
        ]);
      },
    };
    await withService(methods, async (client, signal) => {
      const error = await failureOf(client.generate(request, {}, signal));
      expect(error).toMatchObject({
        code: status.RESOURCE_EXHAUSTED,
        message: "näh: queue is full",
        details: {
          reason: "QUEUE_FULL",
          domain: "comfyrpc",
          metadata: { limit: "3" },
          violations: [{ field: "spec.cfg", description: "odd" }],
          nodes: [{ nodeId: "3", message: "bad" }],
          retryAfterMs: 2_500,
        },
      });
      expect(error.codeName).toBe("RESOURCE_EXHAUSTED");
    });
  });

  it("are cancelled on the service when aborted", async () => {
    const arrived = Promise.withResolvers<void>();
    const cancelled = Promise.withResolvers<void>();
    const methods: Partial<ServiceImpl<typeof ImageService>> = {
      health: async (_, { signal }) => {
        signal.addEventListener("abort", () => cancelled.resolve());
        arrived.resolve();
        await cancelled.promise;
        return {};
      },
    };
    await withService(methods, async (client) => {
      const abort = new AbortController();
      const call = failureOf(client.health({}, abort.signal));
      await arrived.promise;
      abort.abort();
      expect((await call).code).toBe(status.CANCELLED);
      await cancelled.promise;
    });
  });

  it("end at their deadline, which the service is told", async () => {
    const deadlines: (number | undefined)[] = [];
    const methods: Partial<ServiceImpl<typeof ImageService>> = {
      health: async (_, { signal, timeoutMs }) => {
        deadlines.push(timeoutMs());
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        return create(HealthResponseSchema);
      },
    };
    await withService(methods, async (client, signal) => {
      const error = await failureOf(client.health({ timeoutMs: 300 }, signal));
      expect(error.code).toBe(status.DEADLINE_EXCEEDED);
      expect(deadlines[0]).toBeLessThanOrEqual(300);
    });
  });
});

describe("streams", () => {
  it("yield every message, and the failure after the last", async () => {
    async function* generateWithProgress() {
      yield* workEvents();
      throw new ConnectError("gone", Code.Unavailable, undefined, [
        { desc: ErrorInfoSchema, value: { reason: "BACKEND_LOST", domain: "comfyrpc" } },
      ]);
    }
    await withService({ generateWithProgress }, async (client, signal) => {
      const seen: (string | undefined)[] = [];
      const error = await failureOf(
        (async () => {
          for await (const { event } of client.generateWithProgress(request, {}, signal)) {
            seen.push(event?.event.case);
          }
        })(),
      );
      expect(seen).toEqual(["accepted", "queued", "started", "nodeStarted", "progress"]);
      expect(error.details.reason).toBe("BACKEND_LOST");
    });
  });

  it.each(["break", "abort"])("are cancelled on the service by %s", async (how) => {
    const cancelled = Promise.withResolvers<void>();
    const methods: Partial<ServiceImpl<typeof ImageService>> = {
      async *generateWithProgress(_, { signal }) {
        signal.addEventListener("abort", () => cancelled.resolve());
        yield* workEvents();
        await cancelled.promise;
      },
    };
    await withService(methods, async (client) => {
      const abort = new AbortController();
      const consume = async () => {
        for await (const { event } of client.generateWithProgress(request, {}, abort.signal)) {
          if (event?.event.case !== "progress") continue;
          if (how === "break") break;
          abort.abort();
        }
      };
      if (how === "break") await consume();
      else expect((await failureOf(consume())).code).toBe(status.CANCELLED);
      await cancelled.promise;
    });
  });

  it("hold the service back while nobody reads", async () => {
    let sentCount = 0;
    async function* generateWithProgress() {
      const data = Buffer.alloc(250_000);
      for (; sentCount < 400; sentCount++) {
        yield staged({ case: "imageChunk", value: { data, offset: 0n, imageIndex: 0 } });
      }
    }
    await withService({ generateWithProgress }, async (client, signal) => {
      for await (const _ of client.generateWithProgress(request, {}, signal)) {
        // Another call on the same connection gives the service time to run ahead, if it can.
        await failureOf(client.health({}, signal));
        expect(sentCount).toBeLessThan(400);
        break;
      }
    });
  });

  it("are not even started with a signal that is aborted", async () => {
    let callCount = 0;
    async function* generateWithProgress() {
      callCount++;
      yield* jobEvents(new Uint8Array(1));
    }
    await withService({ generateWithProgress }, async (client) => {
      const stream = client.generateWithProgress(request, {}, AbortSignal.abort());
      expect((await failureOf(collect(stream))).code).toBe(status.CANCELLED);
      expect(callCount).toBe(0);
    });
  });
});

describe("streams of requests", () => {
  type UploadAsset = ServiceImpl<typeof AssetService>["uploadAsset"];

  async function withUploads(
    uploadAsset: UploadAsset,
    use: (client: AssetClient, signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const signal = AbortSignal.timeout(10_000);
    await using service = await startStagedService({ uploadAsset });
    {
      using channel = new GrpcChannel({ address: parseServerAddress(service.address) });
      await use(createAssetClient(channel), signal);
    }
    await service.idle(signal);
  }

  const piece = { part: { case: "data", value: new Uint8Array(100_000) } } as const;

  it("carry every message, and their one answer", async () => {
    let byteCount = 0;
    const count: UploadAsset = async (requests) => {
      for await (const { part } of requests) if (part.case === "data") byteCount += part.value.byteLength;
      return { asset: { assetId: "5f2c" } };
    };
    async function* requests() {
      for (let number = 0; number < 30; number++) yield piece;
    }
    await withUploads(count, async (client, signal) => {
      const { asset } = await client.uploadAsset(requests(), signal);
      expect(asset?.assetId).toBe("5f2c");
      expect(byteCount).toBe(3_000_000);
    });
  });

  it("are asked for no faster than the service takes them", async () => {
    const enough = Promise.withResolvers<void>();
    const wait: UploadAsset = async (requests) => {
      await enough.promise;
      for await (const _ of requests);
      return {};
    };
    let askedCount = 0;
    async function* requests() {
      for (; askedCount < 400; askedCount++) yield piece;
    }
    await withUploads(wait, async (client, signal) => {
      const answer = client.uploadAsset(requests(), signal);
      // Other calls on the same connection give the client time to run ahead, if it can.
      for (let number = 0; number < 20; number++) {
        await failureOf(client.signAssetUrl({ assetId: "5f2c" }, signal));
      }
      expect(askedCount).toBeLessThan(400);
      enough.resolve();
      await answer;
      expect(askedCount).toBe(400);
    });
  });

  it("are cancelled on the service when aborted", async () => {
    const cancelled = Promise.withResolvers<void>();
    const abort = new AbortController();
    const hang: UploadAsset = async (_, { signal }) => {
      signal.addEventListener("abort", () => cancelled.resolve());
      abort.abort();
      await cancelled.promise;
      return {};
    };
    async function* requests() {
      for (;;) yield piece;
    }
    await withUploads(hang, async (client) => {
      expect((await failureOf(client.uploadAsset(requests(), abort.signal))).code).toBe(status.CANCELLED);
      await cancelled.promise;
    });
  });

  it("are cancelled on the service when they fail", async () => {
    const arrived = Promise.withResolvers<void>();
    const cancelled = Promise.withResolvers<void>();
    const hang: UploadAsset = async (_, { signal }) => {
      signal.addEventListener("abort", () => cancelled.resolve());
      arrived.resolve();
      await cancelled.promise;
      return {};
    };
    const fault = new Error("the disk is gone");
    async function* requests() {
      yield piece;
      await arrived.promise;
      throw fault;
    }
    await withUploads(hang, async (client, signal) => {
      await expect(client.uploadAsset(requests(), signal)).rejects.toBe(fault);
      await cancelled.promise;
    });
  });
});

it("says UNAVAILABLE without a reason when nobody listens", async () => {
  const gone = await startStagedService({});
  await gone[Symbol.asyncDispose]();
  using channel = new GrpcChannel({ address: parseServerAddress(gone.address) });
  const error = await failureOf(createImageClient(channel).health({}, AbortSignal.timeout(10_000)));
  expect(error.code).toBe(status.UNAVAILABLE);
  expect(error.details.reason).toBeUndefined();
});

describe("TLS", () => {
  async function ask(host: string, certificate: string, ca?: Buffer): Promise<HealthResponse> {
    const health = () => ({ health: { ready: true } });
    await using service = await startStagedService({ health }, { certificate });
    const { port } = parseServerAddress(service.address);
    using channel = new GrpcChannel({ address: { host, port, tls: true }, ...(ca ? { ca } : {}) });
    return await createImageClient(channel).health({}, AbortSignal.timeout(10_000));
  }

  it.each(["127.0.0.1", "localhost"])("reaches a service at %s whose certificate names it", async (host) => {
    const answer = await ask(host, testCertificate, Buffer.from(testCertificate));
    expect(answer.health?.ready).toBe(true);
  });

  it("refuses a certificate that is not trusted", async () => {
    const error = await failureOf(ask("127.0.0.1", testCertificate));
    expect(error.code).toBe(status.UNAVAILABLE);
    expect(error.message).toMatch(/self-signed/);
  });

  it.each(["127.0.0.1", "localhost"])("refuses a certificate that does not name %s", async (host) => {
    const error = await failureOf(ask(host, otherTestCertificate, Buffer.from(otherTestCertificate)));
    expect(error.code).toBe(status.UNAVAILABLE);
    expect(error.message).toMatch(new RegExp(`${host}\\.? is not in the cert's`));
  });
});
