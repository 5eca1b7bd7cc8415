import { ServiceError } from "../domain/errors.ts";
import type { ModelKind } from "../domain/model-kind.ts";
import type { NodeClasses } from "../domain/node-class.ts";
import type { Catalog, Engine } from "../engine/engine.ts";
import { nearestNames } from "../lib/nearest-names.ts";
import { askBackends, type BackendAnswer } from "./ask-backends.ts";
import {
  type ModelEntry,
  mergeModels,
  mergeNames,
  mergeNodeClasses,
  type NamedEntry,
  type NodeClassEntry,
} from "./merge-catalogs.ts";
import { SameSources } from "./same-sources.ts";

/** All times in milliseconds. */
export interface CatalogServiceOptions {
  /** How old what is known of models, samplers and schedulers may be before a backend is asked again. */
  readonly catalogMaxAgeMs: number;
  /** The same for node classes, which are megabytes. */
  readonly nodeClassesMaxAgeMs: number;
}

export interface CatalogServiceDependencies {
  readonly engines: readonly Engine[];
}

/** What there is of something. */
export interface Listing<T> {
  readonly entries: readonly T[];
  /** Names of the backends that this is of. */
  readonly backends: readonly string[];
}

/** Which models to list. */
export interface ModelFilter {
  /** Of these kinds; of any if there is none. */
  readonly kinds: readonly ModelKind[];
  /** Whose name contains this, whatever the case. */
  readonly nameContains: string;
}

/** Which node classes to list. */
export interface NodeClassFilter {
  /** Whose name, or name for people, contains this, whatever the case. */
  readonly nameContains: string;
  /** In this category or below; empty: in any. */
  readonly category: string;
}

/**
 * Lists what the backends have. Every method takes the name of one backend, or an empty text for what all have together:
 * all that can be used now, or all there are if none can.
 *
 * Every method throws ServiceError: `INVALID_FIELD`, for field `backend`, if there is none of that name; `NO_BACKEND` if
 * nothing is known of any that is asked.
 */
export class CatalogService {
  readonly #options: CatalogServiceOptions;
  readonly #deps: CatalogServiceDependencies;
  readonly #models = new SameSources(mergeModels);
  readonly #nodeClasses = new SameSources(mergeNodeClasses);

  constructor(options: CatalogServiceOptions, deps: CatalogServiceDependencies) {
    this.#options = options;
    this.#deps = deps;
  }

  /** Models, in the order of `modelKey`. */
  async models(filter: ModelFilter, backend: string, signal: AbortSignal): Promise<Listing<ModelEntry>> {
    const answers = await this.#catalogs(backend, signal);
    const contains = containing(filter.nameContains);
    const entries = this.#models
      .of(backend, answers)
      .filter(
        ({ kind, name }) => (filter.kinds.length === 0 || filter.kinds.includes(kind)) && contains(name),
      );
    return listing(answers, entries);
  }

  /** Samplers, in the order of the first backend that has them. */
  async samplers(backend: string, signal: AbortSignal): Promise<Listing<NamedEntry>> {
    const answers = await this.#catalogs(backend, signal);
    return listing(
      answers,
      mergeNames(answers, ({ samplers }) => samplers),
    );
  }

  /** Schedulers, in the order of the first backend that has them. */
  async schedulers(backend: string, signal: AbortSignal): Promise<Listing<NamedEntry>> {
    const answers = await this.#catalogs(backend, signal);
    return listing(
      answers,
      mergeNames(answers, ({ schedulers }) => schedulers),
    );
  }

  /** Node classes, in the order of their names. */
  async nodeClasses(
    filter: NodeClassFilter,
    backend: string,
    signal: AbortSignal,
  ): Promise<Listing<NodeClassEntry>> {
    const answers = await this.#classes(backend, signal);
    const contains = containing(filter.nameContains);
    const entries = this.#nodeClasses
      .of(backend, answers)
      .filter(
        ({ name, nodeClass }) =>
          (contains(name) || contains(nodeClass.displayName)) &&
          isWithin(nodeClass.category, filter.category),
      );
    return listing(answers, entries);
  }

  /**
   * The node class of this name.
   *
   * @throws ServiceError also `NODE_CLASS_NOT_FOUND`
   */
  async nodeClass(name: string, backend: string, signal: AbortSignal): Promise<NodeClassEntry> {
    const all = this.#nodeClasses.of(backend, await this.#classes(backend, signal));
    const found = all.find((entry) => entry.name === name);
    if (found === undefined) {
      throw noSuchClass(
        name,
        all.map((entry) => entry.name),
      );
    }
    return found;
  }

  #catalogs(backend: string, signal: AbortSignal): Promise<readonly BackendAnswer<Catalog>[]> {
    const { catalogMaxAgeMs } = this.#options;
    return this.#ask(backend, (engine) => engine.catalog(catalogMaxAgeMs, signal));
  }

  #classes(backend: string, signal: AbortSignal): Promise<readonly BackendAnswer<NodeClasses>[]> {
    const { nodeClassesMaxAgeMs } = this.#options;
    return this.#ask(backend, (engine) => engine.nodeClasses(nodeClassesMaxAgeMs, signal));
  }

  async #ask<T>(backend: string, ask: (engine: Engine) => Promise<T>): Promise<readonly BackendAnswer<T>[]> {
    const { engines } = this.#deps;
    if (backend === "") {
      return await askBackends(engines, ask);
    }
    const engine = engines.find(({ name }) => name === backend);
    if (engine === undefined) {
      throw noSuchBackend(engines.map(({ name }) => name));
    }
    return [{ backend, value: await ask(engine) }];
  }
}

function listing<T>(answers: readonly BackendAnswer<unknown>[], entries: readonly T[]): Listing<T> {
  return { entries, backends: answers.map(({ backend }) => backend) };
}

function containing(part: string): (text: string) => boolean {
  const wanted = part.toLowerCase();
  return (text) => text.toLowerCase().includes(wanted);
}

function isWithin(category: string, outer: string): boolean {
  return outer === "" || category === outer || category.startsWith(`${outer}/`);
}

function noSuchBackend(names: readonly string[]): ServiceError {
  const description = `there is no backend of that name; this server has ${names.join(", ")}`;
  return new ServiceError("INVALID_FIELD", `backend: ${description}`, {
    violations: [{ field: "backend", description }],
  });
}

function noSuchClass(name: string, listed: readonly string[]): ServiceError {
  const nearest = nearestNames(name, listed);
  const hint = nearest.length > 0 ? `; the nearest: ${nearest.join(", ")}` : "";
  return new ServiceError("NODE_CLASS_NOT_FOUND", `there is no node class "${name}"${hint}`, {
    metadata: { name, nearest: JSON.stringify(nearest) },
  });
}
