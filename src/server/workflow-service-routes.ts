import { WorkflowService } from "../../gen/comfyrpc/v1/workflow_service_pb.js";
import type { JobService } from "../jobs/job-service.ts";
import type { WorkflowResolver } from "../jobs/workflow-resolver.ts";
import type { TemplateService } from "../templates/template-service.ts";
import { convertWorkflow } from "./rpc/convert-workflow.ts";
import { deleteTemplate } from "./rpc/delete-template.ts";
import { deleteTemplateAlias } from "./rpc/delete-template-alias.ts";
import { getTemplate } from "./rpc/get-template.ts";
import { getTemplateSchema } from "./rpc/get-template-schema.ts";
import { listTemplateVersions } from "./rpc/list-template-versions.ts";
import { listTemplates } from "./rpc/list-templates.ts";
import { proposeParameters } from "./rpc/propose-parameters.ts";
import { registerTemplate } from "./rpc/register-template.ts";
import { setTemplateAlias } from "./rpc/set-template-alias.ts";
import { validateWorkflow } from "./rpc/validate-workflow.ts";
import type { Routes } from "./rpc-handler.ts";

export interface WorkflowServiceDependencies {
  readonly jobs: Pick<JobService, "dryRun">;
  readonly workflows: Pick<WorkflowResolver, "convert">;
  readonly templates: TemplateService;
}

/** Serves `comfyrpc.v1.WorkflowService`. */
export function workflowServiceRoutes({ jobs, workflows, templates }: WorkflowServiceDependencies): Routes {
  return (router) =>
    router.service(WorkflowService, {
      validateWorkflow: validateWorkflow({ jobs }),
      convertWorkflow: convertWorkflow({ workflows }),
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
