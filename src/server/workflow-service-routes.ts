import { WorkflowService } from "../../gen/comfyrpc/v1/workflow_service_pb.js";
import type { TemplateService } from "../templates/template-service.ts";
import { deleteTemplate } from "./rpc/delete-template.ts";
import { deleteTemplateAlias } from "./rpc/delete-template-alias.ts";
import { getTemplate } from "./rpc/get-template.ts";
import { getTemplateSchema } from "./rpc/get-template-schema.ts";
import { listTemplateVersions } from "./rpc/list-template-versions.ts";
import { listTemplates } from "./rpc/list-templates.ts";
import { proposeParameters } from "./rpc/propose-parameters.ts";
import { registerTemplate } from "./rpc/register-template.ts";
import { setTemplateAlias } from "./rpc/set-template-alias.ts";
import type { Routes } from "./rpc-handler.ts";

/** Serves `comfyrpc.v1.WorkflowService`. */
export function workflowServiceRoutes({ templates }: { readonly templates: TemplateService }): Routes {
  return (router) =>
    router.service(WorkflowService, {
      registerTemplate: registerTemplate({ templates }),
      proposeParameters: proposeParameters({ templates }),
      getTemplate: getTemplate({ templates }),
      getTemplateSchema: getTemplateSchema({ templates }),
      listTemplates: listTemplates({ templates }),
      listTemplateVersions: listTemplateVersions({ templates }),
      setTemplateAlias: setTemplateAlias({ templates }),
      deleteTemplateAlias: deleteTemplateAlias({ templates }),
      deleteTemplate: deleteTemplate({ templates }),
    });
}
