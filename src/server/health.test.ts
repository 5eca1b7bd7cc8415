import { Code, createClient, createRouterTransport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../gen/grpc/health/v1/health_pb.js";
import { connectGrpcJs } from "../../test/support/grpc-js-client.ts";
import { startRpcServer } from "../../test/support/start-rpc-server.ts";
import { createHealth } from "./health.ts";

const healthProto = "grpc/health/v1/health.proto";
const watchPath = "/grpc.health.v1.Health/Watch";
const { SERVING, NOT_SERVING, SERVICE_UNKNOWN } = ServingStatus;

describe("Check", () => {
  it("follows the source for the server and its services, and not for the health service itself", async () => {
    await using server = await startRpcServer();
    const client = createClient(Health, createGrpcTransport({ baseUrl: server.url }));
    const check = async (service: string) => (await client.check({ service })).status;

    for (const service of ["", "comfyrpc.v1.ImageService", "grpc.health.v1.Health"]) {
      expect(await check(service)).toBe(SERVING);
    }
    server.setReady(false);
    expect(await check("")).toBe(NOT_SERVING);
    expect(await check("comfyrpc.v1.ImageService")).toBe(NOT_SERVING);
    expect(await check("grpc.health.v1.Health")).toBe(SERVING);
  });

  it("says which services there are when asked for another", async () => {
    await using server = await startRpcServer();
    const client = createClient(Health, createGrpcTransport({ baseUrl: server.url }));
    await expect(client.check({ service: "a.B" })).rejects.toMatchObject({
      code: Code.NotFound,
      rawMessage: "unknown service; known are comfyrpc.v1.ImageService, grpc.health.v1.Health",
    });
  });

  it("says that nothing is serving while the server drains", async () => {
    await using server = await startRpcServer();
    server.draining.abort();
    using client = await connectGrpcJs(server.address, healthProto);
    for (const service of ["", "comfyrpc.v1.ImageService", "grpc.health.v1.Health"]) {
      const answer = await client.call("/grpc.health.v1.Health/Check", { service });
      expect(answer).toEqual({ status: "NOT_SERVING" });
    }
  });
});

describe("List", () => {
  it("gives the status of every service", async () => {
    await using server = await startRpcServer();
    server.setReady(false);
    using client = await connectGrpcJs(server.address, healthProto);
    expect(await client.call("/grpc.health.v1.Health/List", {})).toEqual({
      statuses: {
        "": { status: "NOT_SERVING" },
        "comfyrpc.v1.ImageService": { status: "NOT_SERVING" },
        "grpc.health.v1.Health": { status: "SERVING" },
      },
    });
  });
});

describe("Watch", () => {
  it("tells nothing twice, also if its source does", async () => {
    const source = {
      current: () => true,
      async *watch() {
        yield* [true, true, false, false, true];
      },
    };
    const draining = new AbortController().signal;
    const health = createHealth({ source, following: [], constant: [], draining });
    const client = createClient(Health, createRouterTransport(health));
    const seen = await Array.fromAsync(client.watch({}));
    expect(seen.map((answer) => answer.status)).toEqual([SERVING, NOT_SERVING, SERVING]);
  });

  it("tells the status at once and then every change", async () => {
    await using server = await startRpcServer();
    using client = await connectGrpcJs(server.address, healthProto);
    const seen: unknown[] = [];
    for await (const answer of client.stream(watchPath, { service: "comfyrpc.v1.ImageService" })) {
      seen.push(answer);
      if (seen.length === 1) server.setReady(false);
      if (seen.length === 2) server.setReady(true);
      if (seen.length === 3) break;
    }
    expect(seen).toEqual(["SERVING", "NOT_SERVING", "SERVING"].map((name) => ({ status: name })));
  });

  it("calls a service that it does not know unknown, and stays open", async () => {
    await using server = await startRpcServer();
    const client = createClient(Health, createGrpcTransport({ baseUrl: server.url }));
    const caller = new AbortController();
    const watch = client.watch({ service: "a.B" }, { signal: caller.signal })[Symbol.asyncIterator]();
    expect(await watch.next()).toMatchObject({ value: { status: SERVICE_UNKNOWN } });
    const next = watch.next();
    expect((await client.check({})).status).toBe(SERVING);
    caller.abort();
    await expect(next).rejects.toMatchObject({ code: Code.Canceled });
  });

  it("ends when its caller leaves, so that the server can drain", async () => {
    await using server = await startRpcServer();
    using client = await connectGrpcJs(server.address, healthProto);
    const caller = new AbortController();
    const cancelled = (async () => {
      for await (const _ of client.stream(watchPath, { service: "" }, caller.signal)) caller.abort();
    })();
    await expect(cancelled).rejects.toMatchObject({ code: status.CANCELLED });
    await server.listener.drain(60_000, AbortSignal.timeout(10_000));
    expect(server.shutdown.signal.aborted).toBe(false);
  });

  it.each(["", "grpc.health.v1.Health"])(
    "of %j says NOT_SERVING and ends when the server drains",
    async (service) => {
      await using server = await startRpcServer();
      using client = await connectGrpcJs(server.address, healthProto);
      const seen: unknown[] = [];
      let drained: Promise<void> | undefined;
      for await (const answer of client.stream(watchPath, { service })) {
        seen.push(answer);
        server.draining.abort();
        drained ??= server.listener.drain(60_000, AbortSignal.timeout(10_000));
      }
      expect(seen).toEqual([{ status: "SERVING" }, { status: "NOT_SERVING" }]);
      await drained;
      expect(server.shutdown.signal.aborted).toBe(false);
    },
  );
});
