import { requireClients } from "../clients.ts";
import { openBufCurl } from "./buf-curl.ts";
import {
  openConnectNode,
  openConnectNodeGrpc,
  openConnectWeb,
  openConnectWebBinary,
  openGrpcWeb,
} from "./connect.ts";
import { isCurlInstalled, openCurl } from "./curl.ts";
import { openGrpcJs } from "./grpc-js.ts";
import type { ImageClientKind } from "./image-client.ts";

requireClients("curl", isCurlInstalled);

export const grpcJs: ImageClientKind = { name: "grpc-js", open: openGrpcJs };
export const connectWeb: ImageClientKind = { name: "connect-web, Connect in JSON", open: openConnectWeb };
export const connectNode: ImageClientKind = {
  name: "connect-node, Connect over HTTP/2",
  open: openConnectNode,
};
export const grpcWeb: ImageClientKind = { name: "connect-web, gRPC-Web", open: openGrpcWeb };
export const bufCurlGrpc: ImageClientKind = { name: "buf curl, gRPC", open: openBufCurl("grpc") };
export const connectNodeGrpc: ImageClientKind = { name: "connect-node, gRPC", open: openConnectNodeGrpc };

/** curl, if it is installed. */
export const curl: readonly ImageClientKind[] = isCurlInstalled ? [{ name: "curl", open: openCurl }] : [];

/** Every kind of client that is there. */
export const allKinds: readonly ImageClientKind[] = [
  grpcJs,
  connectWeb,
  { name: "connect-web, Connect in binary", open: openConnectWebBinary },
  grpcWeb,
  connectNodeGrpc,
  connectNode,
  bufCurlGrpc,
  { name: "buf curl, gRPC-Web", open: openBufCurl("grpcweb") },
  { name: "buf curl, Connect", open: openBufCurl("connect") },
  ...curl,
];
