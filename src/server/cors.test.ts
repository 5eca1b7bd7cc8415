import { describe, expect, it } from "vitest";
import { startRpcServer } from "../../test/support/start-rpc-server.ts";

const origin = "https://app.example.com";
const path = "/comfyrpc.v1.ImageService/Generate";

describe("CORS", () => {
  it("answers the preflight of an allowed origin", async () => {
    await using server = await startRpcServer({ corsOrigins: [origin] });
    const { status, headers } = await preflight(server.url + path, origin);
    expect(status).toBe(204);
    expect(headers.get("access-control-allow-origin")).toBe(origin);
    expect(headers.get("access-control-allow-methods")).toBe("POST, GET");
    expect(headers.get("access-control-max-age")).toBe("7200");
    expect(headers.get("vary")).toBe("Origin");
    expect(headers.get("access-control-allow-credentials")).toBeNull();
    const allowed = headers.get("access-control-allow-headers")?.toLowerCase().split(", ");
    expect(allowed).toEqual(
      expect.arrayContaining([
        "content-type",
        "connect-protocol-version",
        "connect-timeout-ms",
        "x-grpc-web",
        "grpc-timeout",
        "authorization",
        "x-request-id",
      ]),
    );
  });

  it("exposes status, request id and trailers on answers, errors included", async () => {
    await using server = await startRpcServer({ corsOrigins: [origin] });
    for (const url of [server.url + path, `${server.url}/healthz`, `${server.url}/nothing`]) {
      const { headers } = await fetch(url, { headers: { origin } });
      expect(headers.get("access-control-allow-origin")).toBe(origin);
      const exposed = headers.get("access-control-expose-headers")?.toLowerCase().split(", ");
      expect(exposed).toEqual(
        expect.arrayContaining([
          "grpc-status",
          "grpc-message",
          "grpc-status-details-bin",
          "x-request-id",
          "trailer-x-request-id",
        ]),
      );
    }
  });

  it("allows nothing to another origin, and tells its developer why", async () => {
    await using server = await startRpcServer({ corsOrigins: [origin] });
    const response = await preflight(server.url + path, "https://evil.example.com");
    expect(response.status).toBe(403);
    expect(await response.text()).toContain("allowed CORS origins");
    const call = await fetch(server.url + path, { headers: { origin: "https://evil.example.com" } });
    for (const { headers } of [response, call]) {
      expect(headers.get("access-control-allow-origin")).toBeNull();
      expect(headers.get("vary")).toBe("Origin");
    }
  });

  it("allows every origin by a star, without credentials", async () => {
    await using server = await startRpcServer({ corsOrigins: ["*"] });
    const { headers } = await preflight(server.url + path, "https://anything.example.com");
    expect(headers.get("access-control-allow-origin")).toBe("*");
    expect(headers.get("access-control-allow-credentials")).toBeNull();
  });

  it("is silent when no origin is configured", async () => {
    await using server = await startRpcServer();
    const response = await preflight(server.url + path, origin);
    expect(response.status).toBe(405);
    expect(response.headers.get("access-control-allow-origin")).toBeNull();
  });

  it("leaves clients alone that are no browsers", async () => {
    await using server = await startRpcServer({ corsOrigins: [origin] });
    const response = await fetch(`${server.url}/healthz`);
    expect(response.status).toBe(200);
    expect(response.headers.get("access-control-allow-origin")).toBeNull();
  });
});

function preflight(url: string, from: string): Promise<Response> {
  const headers = { origin: from, "access-control-request-method": "POST" };
  return fetch(url, { method: "OPTIONS", headers });
}
