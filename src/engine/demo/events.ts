import type { JsonObject } from "./json.ts";
import { stringifyJson } from "./json.ts";
import type { SocketHub } from "./sockets.ts";

interface NodeProgress {
  value: number;
  max: number;
  state: "running" | "finished";
}

/**
 * Tells the client of one prompt what happens, in ComfyUI's order, and keeps the `execution_*` messages for the record.
 * Without a client id, progress, previews and interruption go to everybody, the rest to nobody.
 */
export class PromptEvents {
  readonly #sockets: SocketHub;
  readonly #promptId: string;
  readonly #clientId: string | undefined;
  readonly #progress = new Map<string, NodeProgress>();
  readonly messages: (readonly [string, JsonObject])[] = [];

  constructor(sockets: SocketHub, promptId: string, clientId: string | undefined) {
    this.#sockets = sockets;
    this.#promptId = promptId;
    this.#clientId = clientId;
  }

  started(): void {
    this.#record("execution_start", {});
  }

  cached(nodes: readonly string[]): void {
    this.#record("execution_cached", { nodes });
  }

  nodeStarted(nodeId: string): void {
    this.#progress.set(nodeId, { value: 0, max: 1, state: "running" });
    this.#sendProgressState();
    this.#toClient("executing", { node: nodeId, display_node: nodeId, prompt_id: this.#promptId });
  }

  /** Reports a step. `jpeg` is the preview, if there is one. */
  nodeProgressed(nodeId: string, value: number, max: number, jpeg: Buffer | undefined): void {
    this.#progress.set(nodeId, { value, max, state: "running" });
    this.#sendProgressState();
    const preview = jpeg && { jpeg, metadata: this.#aboutNode(nodeId) };
    if (preview) {
      this.#sockets.sendPreview(this.#clientId, preview, "withMetadata");
    }
    this.#send("progress", { value, max, prompt_id: this.#promptId, node: nodeId });
    if (preview) {
      this.#sockets.sendPreview(this.#clientId, preview, "plain");
    }
  }

  /** What an output node shows; `null` for one that shows nothing. */
  nodeShowed(nodeId: string, output: JsonObject | null): void {
    this.#toClient("executed", { node: nodeId, display_node: nodeId, output, prompt_id: this.#promptId });
  }

  nodeFinished(nodeId: string): void {
    const max = this.#progress.get(nodeId)?.max ?? 1;
    this.#progress.set(nodeId, { value: max, max, state: "finished" });
    this.#sendProgressState();
  }

  succeeded(): void {
    this.#record("execution_success", {});
  }

  failed(details: JsonObject): void {
    this.#record("execution_error", details);
  }

  interrupted(details: JsonObject): void {
    const data = this.#timed(details);
    this.messages.push(["execution_interrupted", data]);
    this.#send("execution_interrupted", data);
  }

  /** The last event of a prompt. */
  over(): void {
    this.#toClient("executing", { node: null, prompt_id: this.#promptId });
  }

  wantsPreviews(): boolean {
    return this.#sockets.wantsPreviews(this.#clientId);
  }

  #record(type: string, details: JsonObject): void {
    const data = this.#timed(details);
    this.messages.push([type, data]);
    this.#toClient(type, data);
  }

  #timed(details: JsonObject): JsonObject {
    return { prompt_id: this.#promptId, ...details, timestamp: Date.now() };
  }

  #sendProgressState(): void {
    this.#sockets.send(this.#clientId, () => {
      const nodes: Record<string, JsonObject> = {};
      for (const [nodeId, { value, max, state }] of this.#progress) {
        nodes[nodeId] = { value, max, state, ...this.#aboutNode(nodeId) };
      }
      return frame("progress_state", { prompt_id: this.#promptId, nodes });
    });
  }

  #aboutNode(nodeId: string): JsonObject {
    return {
      node_id: nodeId,
      prompt_id: this.#promptId,
      display_node_id: nodeId,
      parent_node_id: null,
      real_node_id: nodeId,
    };
  }

  #toClient(type: string, data: JsonObject): void {
    if (this.#clientId !== undefined) {
      this.#send(type, data);
    }
  }

  #send(type: string, data: JsonObject): void {
    this.#sockets.send(this.#clientId, () => frame(type, data));
  }
}

function frame(type: string, data: JsonObject): string {
  return stringifyJson({ type, data });
}
