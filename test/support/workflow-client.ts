import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { AssetService } from "../../gen/comfyrpc/v1/asset_service_pb.js";
import { ImageService } from "../../gen/comfyrpc/v1/image_service_pb.js";
import { JobService } from "../../gen/comfyrpc/v1/job_service_pb.js";
import { WorkflowService } from "../../gen/comfyrpc/v1/workflow_service_pb.js";

/** What callers of templates need of a service. Disposing of it closes its connection. */
export interface WorkflowClient extends Disposable {
  readonly workflows: Client<typeof WorkflowService>;
  readonly images: Client<typeof ImageService>;
  readonly jobs: Client<typeof JobService>;
  readonly assets: Client<typeof AssetService>;
}

/** The same calls over gRPC, and as JSON over HTTP/1.1. */
export const workflowClientKinds = [
  { name: "gRPC", connect: connectWorkflows },
  {
    name: "JSON",
    connect: (url: string) =>
      clientOn(
        createConnectTransport({ baseUrl: url, httpVersion: "1.1", useBinaryFormat: false }),
        () => {},
      ),
  },
] as const;

/** A caller that speaks gRPC. */
export function connectWorkflows(url: string): WorkflowClient {
  const sessionManager = new Http2SessionManager(url);
  return clientOn(createGrpcTransport({ baseUrl: url, sessionManager }), () => sessionManager.abort());
}

function clientOn(transport: Transport, close: () => void): WorkflowClient {
  return {
    workflows: createClient(WorkflowService, transport),
    images: createClient(ImageService, transport),
    jobs: createClient(JobService, transport),
    assets: createClient(AssetService, transport),
    [Symbol.dispose]: close,
  };
}
