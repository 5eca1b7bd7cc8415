import { isDeepStrictEqual } from "node:util";
import { type ModelKind, modelKinds } from "../domain/model-kind.ts";
import type { NodeClass, NodeClasses } from "../domain/node-class.ts";
import type { Catalog } from "../engine/engine.ts";
import type { BackendAnswer } from "./ask-backends.ts";

/** Something that backends have under one name. */
export interface NamedEntry {
  readonly name: string;
  /** Those that have it, in the order of the configuration. */
  readonly backends: readonly string[];
}

export interface ModelEntry extends NamedEntry {
  readonly kind: ModelKind;
}

export interface NodeClassEntry extends NamedEntry {
  /** As the first of the backends describes it. */
  readonly nodeClass: NodeClass;
  /** Whether another of them describes it in another way. */
  readonly differs: boolean;
}

/** What all have of each kind, in the order of {@link modelKey}. */
export function mergeModels(answers: readonly BackendAnswer<Catalog>[]): readonly ModelEntry[] {
  return modelKinds.flatMap((kind) =>
    mergeNames(answers, ({ models }) => models[kind])
      .toSorted(byKey(({ name }) => name))
      .map((entry) => ({ ...entry, kind })),
  );
}

/** The names that all have, each where it first comes up. */
export function mergeNames<T>(
  answers: readonly BackendAnswer<T>[],
  namesOf: (value: T) => readonly string[],
): readonly NamedEntry[] {
  const backendsOf = new Map<string, string[]>();
  for (const { backend, value } of answers) {
    for (const name of new Set(namesOf(value))) {
      const backends = backendsOf.get(name);
      if (backends === undefined) {
        backendsOf.set(name, [backend]);
      } else {
        backends.push(backend);
      }
    }
  }
  return [...backendsOf].map(([name, backends]) => ({ name, backends }));
}

/** The node classes that all have, in the order of their names. */
export function mergeNodeClasses(answers: readonly BackendAnswer<NodeClasses>[]): readonly NodeClassEntry[] {
  return mergeNames(answers, (classes) => [...classes.keys()])
    .flatMap((entry) => {
      const [nodeClass, ...others] = answers.flatMap(({ value }) => value.get(entry.name) ?? []);
      const differs = others.some((other) => !isDeepStrictEqual(other, nodeClass));
      return nodeClass === undefined ? [] : [{ ...entry, nodeClass, differs }];
    })
    .toSorted(byKey(({ name }) => name));
}

/** By which models are ordered, and told apart: the place of the kind among all, a digit, and the name. */
export function modelKey({ kind, name }: ModelEntry): string {
  return `${modelKinds.indexOf(kind)}${name}`;
}

/** By code units, which is the same on every machine. */
function byKey<T>(keyOf: (entry: T) => string): (a: T, b: T) => number {
  return (a, b) => {
    const [keyA, keyB] = [keyOf(a), keyOf(b)];
    return keyA < keyB ? -1 : keyA > keyB ? 1 : 0;
  };
}
