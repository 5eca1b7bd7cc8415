import { once } from "node:events";
import { createSecureServer, createServer, type ServerHttp2Session } from "node:http2";
import type { ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { AssetService } from "../../../gen/comfyrpc/v1/asset_service_pb.js";
import { CatalogService } from "../../../gen/comfyrpc/v1/catalog_service_pb.js";
import { ImageService } from "../../../gen/comfyrpc/v1/image_service_pb.js";
import { JobService } from "../../../gen/comfyrpc/v1/job_service_pb.js";
import { testCertificateKey } from "./tls-certificate.ts";

/** Methods of any of the services. */
export type StagedMethods = Partial<
  ServiceImpl<typeof ImageService> &
    ServiceImpl<typeof JobService> &
    ServiceImpl<typeof AssetService> &
    ServiceImpl<typeof CatalogService>
>;

/** A service for tests that says what it is told to say. */
export interface StagedService extends AsyncDisposable {
  /** `host:port`. */
  readonly address: string;
  /** Breaks every connection; new ones are taken. */
  dropConnections(): void;
  /** Resolves once no client is connected, however many have been. */
  idle(signal: AbortSignal): Promise<void>;
}

/**
 * Starts `methods` on a free port over HTTP/2, with TLS if a `certificate` of the tests is given. Methods that are left
 * out are unimplemented.
 */
export async function startStagedService(
  methods: StagedMethods,
  { certificate }: { certificate?: string } = {},
): Promise<StagedService> {
  const sessions = new Set<ServerHttp2Session>();
  const handler = connectNodeAdapter({
    routes: (router) =>
      router
        .service(ImageService, methods)
        .service(JobService, methods)
        .service(AssetService, methods)
        .service(CatalogService, methods),
  });
  const server = certificate
    ? createSecureServer({ cert: certificate, key: testCertificateKey }, handler)
    : createServer(handler);
  server.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => {
      sessions.delete(session);
      server.emit("sessionGone");
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("listens on no port");
  const dropConnections = () => {
    for (const session of sessions) session.destroy();
  };
  return {
    address: `127.0.0.1:${address.port}`,
    dropConnections,
    async idle(signal) {
      while (sessions.size > 0) await once(server, "sessionGone", { signal });
    },
    async [Symbol.asyncDispose]() {
      dropConnections();
      server.close();
      await once(server, "close");
    },
  };
}
