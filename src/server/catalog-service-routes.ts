import { CatalogService as CatalogServiceSchema } from "../../gen/comfyrpc/v1/catalog_service_pb.js";
import type { CatalogService } from "../catalog/catalog-service.ts";
import type { BackendFacts } from "./convert/health.ts";
import type { ServerFacts } from "./convert/server-info.ts";
import { getNodeClass } from "./rpc/get-node-class.ts";
import { getServerInfo } from "./rpc/get-server-info.ts";
import { listBackends } from "./rpc/list-backends.ts";
import { listModels } from "./rpc/list-models.ts";
import { listNodeClasses } from "./rpc/list-node-classes.ts";
import { listSamplers } from "./rpc/list-samplers.ts";
import { listSchedulers } from "./rpc/list-schedulers.ts";
import type { Routes } from "./rpc-handler.ts";

export interface CatalogServiceRoutesDependencies {
  readonly catalog: CatalogService;
  readonly serverFacts: ServerFacts;
  /** What is known now of each backend, in the order of the configuration. */
  readonly backends: () => readonly BackendFacts[];
}

/** Serves `comfyrpc.v1.CatalogService`. */
export function catalogServiceRoutes(deps: CatalogServiceRoutesDependencies): Routes {
  const { catalog, serverFacts, backends } = deps;
  return (router) =>
    router.service(CatalogServiceSchema, {
      getServerInfo: getServerInfo(serverFacts, backends),
      listBackends: listBackends(backends),
      listModels: listModels({ catalog }),
      listSamplers: listSamplers({ catalog }),
      listSchedulers: listSchedulers({ catalog }),
      listNodeClasses: listNodeClasses({ catalog }),
      getNodeClass: getNodeClass({ catalog }),
    });
}
