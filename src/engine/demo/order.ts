import { inputsOf, linkOf } from "./graph.ts";
import type { JsonObject } from "./json.ts";

/**
 * Which nodes have to run, and in what order: a node after those that it depends on, and of those that are ready, output
 * nodes first, then what an output node waits for.
 */
export class ExecutionOrder {
  readonly #waitsFor = new Map<string, Set<string>>();
  readonly #blocks = new Map<string, Set<string>>();
  readonly #isOutput: (nodeId: string) => boolean;

  /** @param isCached whether a node's result is there already; what only such a node depends on does not run */
  constructor(
    graph: JsonObject,
    targets: readonly string[],
    isCached: (nodeId: string) => boolean,
    isOutput: (nodeId: string) => boolean,
  ) {
    this.#isOutput = isOutput;
    const open = [...targets];
    for (let id = open.pop(); id !== undefined; id = open.pop()) {
      if (this.#waitsFor.has(id)) {
        continue;
      }
      const needs = new Set<string>();
      this.#waitsFor.set(id, needs);
      for (const value of isCached(id) ? [] : Object.values(inputsOf(graph, id))) {
        const from = linkOf(value)?.nodeId;
        if (from !== undefined && !isCached(from)) {
          needs.add(from);
          this.#blocked(from).add(id);
          open.push(from);
        }
      }
    }
  }

  /** The node to run next; `undefined` when all have run. */
  next(): string | undefined {
    const ready = [...this.#waitsFor].filter(([, needs]) => needs.size === 0).map(([id]) => id);
    return (
      ready.find(this.#isOutput) ??
      ready.find((id) => this.#unblocksOutput(id)) ??
      ready.find((id) => [...this.#blocked(id)].some((next) => this.#unblocksOutput(next))) ??
      ready[0]
    );
  }

  done(nodeId: string): void {
    this.#waitsFor.delete(nodeId);
    for (const next of this.#blocked(nodeId)) {
      this.#waitsFor.get(next)?.delete(nodeId);
    }
  }

  #unblocksOutput(nodeId: string): boolean {
    return [...this.#blocked(nodeId)].some(this.#isOutput);
  }

  #blocked(nodeId: string): Set<string> {
    let blocked = this.#blocks.get(nodeId);
    if (!blocked) {
      blocked = new Set();
      this.#blocks.set(nodeId, blocked);
    }
    return blocked;
  }
}
