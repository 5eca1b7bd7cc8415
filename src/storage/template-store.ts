import type { TemplateContent, WorkflowTemplate } from "../domain/template/workflow-template.ts";

/**
 * Keeps workflow templates: versions that never change, and aliases that point to them.
 *
 * Every method throws ServiceError `STORE_UNAVAILABLE` as those of `JobStore` do.
 */
export interface TemplateStore {
  /**
   * Makes the next version of the template of that name, which is 1 for a new one. If the tenant has a version of equal
   * content already, that one is returned and nothing is made. Of any number of registrations at the same time each
   * gets a number of its own, without gaps, and equal ones get the same.
   */
  register(
    tenant: string,
    content: TemplateContent,
    signal: AbortSignal,
  ): Promise<{ readonly template: TemplateRecord; readonly isNew: boolean }>;

  /** The version of that content, by `hashTemplate`; `undefined` if the tenant has none. */
  findEqual(
    tenant: string,
    name: string,
    sha256: string,
    signal: AbortSignal,
  ): Promise<TemplateRecord | undefined>;

  /** A version of a template; `undefined` if the tenant has no such template, version or alias. */
  get(
    tenant: string,
    name: string,
    revision: TemplateRevision,
    signal: AbortSignal,
  ): Promise<TemplateRecord | undefined>;

  /** The newest version of each template, by name, after the name `after`. At most `limit`. */
  list(
    tenant: string,
    after: string | undefined,
    limit: number,
    signal: AbortSignal,
  ): Promise<readonly TemplateSummary[]>;

  /** The versions of a template, the newest first, below the number `before`. At most `limit`. */
  listVersions(
    tenant: string,
    name: string,
    before: number | undefined,
    limit: number,
    signal: AbortSignal,
  ): Promise<readonly TemplateSummary[]>;

  /**
   * Lets `alias` point to a version, wherever it pointed before. Returns that version; `undefined` if there is none.
   */
  setAlias(
    tenant: string,
    name: string,
    alias: string,
    version: number,
    signal: AbortSignal,
  ): Promise<TemplateRecord | undefined>;

  /** Removes an alias. Returns false if there was none. */
  deleteAlias(tenant: string, name: string, alias: string, signal: AbortSignal): Promise<boolean>;

  /**
   * Removes a version, unless an alias points to it; without `version` all versions and aliases of the template. Their
   * numbers are not given to other versions.
   */
  remove(
    tenant: string,
    name: string,
    version: number | undefined,
    signal: AbortSignal,
  ): Promise<"removed" | "aliased" | "absent">;
}

/** Which version of a template: one by its number, what an alias points to, or the newest. */
export type TemplateRevision =
  | { readonly type: "version"; readonly version: number }
  | { readonly type: "alias"; readonly alias: string }
  | { readonly type: "newest" };

/** A version of a template, and what points to it. */
export interface TemplateRecord extends WorkflowTemplate {
  /** In alphabetical order. */
  readonly aliases: readonly string[];
}

/** A version of a template as it stands in a list: without its graph, which may be large. */
export type TemplateSummary = Omit<TemplateRecord, "graph">;
