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

/** There is no template of that name, or, if it says which, no such version or alias of it. */
export function templateNotFound(name: string, revision: TemplateRevision): ServiceError {
  switch (revision.type) {
    case "newest":
      return new ServiceError(
        "TEMPLATE_NOT_FOUND",
        `there is no template ${name}; ListTemplates has those there are`,
      );
    case "version":
      return new ServiceError(
        "TEMPLATE_NOT_FOUND",
        `the template ${name} has no version ${revision.version}; ListTemplateVersions has those there are`,
      );
    case "alias":
      return new ServiceError(
        "TEMPLATE_NOT_FOUND",
        `the template ${name} has no alias ${revision.alias}; ListTemplateVersions has those there are`,
      );
  }
}
