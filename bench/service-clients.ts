import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { AssetService } from "../gen/comfyrpc/v1/asset_service_pb.js";
import { JobService } from "../gen/comfyrpc/v1/job_service_pb.js";

/** A caller with a connection of its own. */
export interface ServiceClients extends Disposable {
  readonly jobs: Client<typeof JobService>;
  readonly assets: Client<typeof AssetService>;
}

export function connect(url: string): ServiceClients {
  const sessionManager = new Http2SessionManager(url);
  const transport = createGrpcTransport({ baseUrl: url, sessionManager });
  return {
    jobs: createClient(JobService, transport),
    assets: createClient(AssetService, transport),
    [Symbol.dispose]: () => sessionManager.abort(),
  };
}
