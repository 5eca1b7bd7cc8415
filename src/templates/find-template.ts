import { ServiceError } from "../domain/errors.ts";
import type { TemplateRecord, TemplateRevision, TemplateStore } from "../storage/template-store.ts";

/**
 * The version of a template that is meant.
 *
 * @throws ServiceError `TEMPLATE_NOT_FOUND` if the tenant has none such
 */
export async function findTemplate(
  templates: Pick<TemplateStore, "get">,
  tenant: string,
  name: string,
  revision: TemplateRevision,
  signal: AbortSignal,
): Promise<TemplateRecord> {
  const found = await templates.get(tenant, name, revision, signal);
  if (found !== undefined) {
    return found;
  }
  const newest = await templates.get(tenant, name, { type: "newest" }, signal);
  throw templateNotFound(name, newest === undefined ? { type: "newest" } : revision);
}

/**
 * There is no template of that name, or, if it says which, no such version or alias of it. The violation names the field
 * beside the name that says so: `name`, `version` or `alias`.
 */
export function templateNotFound(name: string, revision: TemplateRevision): ServiceError {
  switch (revision.type) {
    case "newest":
      return notFound("name", `there is no template ${name}; ListTemplates has those there are`);
    case "version":
      return notFound(
        "version",
        `the template ${name} has no version ${revision.version}; ListTemplateVersions has those there are`,
      );
    case "alias":
      return notFound(
        "alias",
        `the template ${name} has no alias ${revision.alias}; ListTemplateVersions has those there are`,
      );
  }
}

function notFound(field: string, description: string): ServiceError {
  return new ServiceError("TEMPLATE_NOT_FOUND", description, { violations: [{ field, description }] });
}
