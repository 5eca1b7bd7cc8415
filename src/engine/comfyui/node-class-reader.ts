import { hash } from "node:crypto";
import type { NodeClasses } from "../../domain/node-class.ts";
import { type ComfyUiClient, NoAnswerError } from "./client.ts";
import { isObject } from "./json-shape.ts";
import { parseNodeClasses } from "./node-class.ts";
import { Remembered, type RememberedDependencies } from "./remembered.ts";
import { parseWireJson } from "./wire-json.ts";

export interface NodeClassReaderDependencies extends RememberedDependencies {
  readonly client: ComfyUiClient;
}

/** Classes without a description of use that the log names, at most. */
const maxNamedClasses = 20;

/**
 * Reads the node classes of a server. What it says of them is megabytes long and takes a while to parse, and is mostly
 * the same as the last time: then it is not parsed again, and the same object is served.
 */
export class NodeClassReader {
  readonly #deps: NodeClassReaderDependencies;
  readonly #remembered: Remembered<NodeClasses>;
  #parsed: { readonly digest: string; readonly classes: NodeClasses } | undefined;

  constructor(deps: NodeClassReaderDependencies) {
    this.#deps = deps;
    this.#remembered = new Remembered("node classes", () => this.#read(), deps);
  }

  /** As {@link Engine.nodeClasses} of engine.ts. */
  nodeClasses(maxAgeMs: number, signal: AbortSignal): Promise<NodeClasses> {
    return this.#remembered.get(maxAgeMs, signal);
  }

  /**
   * To be called when the server may be another one than before: reads the classes in the background, if they have been
   * of use so far. Until they are there, those that are remembered are served.
   */
  reset(): void {
    this.#remembered.reset();
    if (this.#remembered.isKnown) {
      this.#remembered.refresh();
    }
  }

  async #read(): Promise<NodeClasses> {
    const { client, logger, lifetime } = this.#deps;
    const text = await client.nodeClasses(lifetime);
    const digest = hash("sha256", text);
    if (this.#parsed?.digest !== digest) {
      const { classes, undescribed } = parseNodeClasses(readObject(text));
      if (undescribed.length > 0) {
        logger.warn(
          { count: undescribed.length, classes: undescribed.slice(0, maxNamedClasses) },
          "node classes whose description makes no sense are known by their name alone",
        );
      }
      this.#parsed = { digest, classes };
    }
    return this.#parsed.classes;
  }
}

function readObject(text: string) {
  try {
    const body = parseWireJson(text);
    if (isObject(body)) {
      return body;
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) {
      throw error;
    }
  }
  throw new NoAnswerError("the backend described its node classes in no way that makes sense", {
    sent: true,
  });
}
