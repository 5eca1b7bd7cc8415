import type { JsonObject } from "./json.ts";
import type { NodeResult } from "./nodes/node.ts";

/** What a node has made. */
export interface NodeOutput {
  readonly values: NodeResult["values"];
  readonly ui: JsonObject | undefined;
}

/**
 * Results of nodes, kept from one prompt to the next: what the next prompt does not contain is dropped, as ComfyUI's
 * classic cache does.
 */
export class NodeCache {
  #outputs = new Map<string, NodeOutput>();

  /** Drops everything but the results with these signatures. To be called when a prompt starts. */
  keepOnly(signatures: Iterable<string>): void {
    const kept = new Map<string, NodeOutput>();
    for (const signature of signatures) {
      const output = this.#outputs.get(signature);
      if (output) {
        kept.set(signature, output);
      }
    }
    this.#outputs = kept;
  }

  get(signature: string | undefined): NodeOutput | undefined {
    return signature === undefined ? undefined : this.#outputs.get(signature);
  }

  set(signature: string, output: NodeOutput): void {
    this.#outputs.set(signature, output);
  }

  clear(): void {
    this.#outputs.clear();
  }
}
