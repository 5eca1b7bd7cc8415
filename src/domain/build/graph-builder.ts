import type { GraphNode, GraphValue, WorkflowGraph } from "../graph.ts";

/** An output of a node, as the input of another one has it. */
export type Link = readonly [nodeId: string, output: number];

/** What a checkpoint, or files in its place, gives to the rest of a graph. */
export interface ModelLinks {
  readonly model: Link;
  readonly clip: Link;
  readonly vae: Link;
}

/** What a sampler is told to draw, and not to draw. */
export interface Conditions {
  readonly positive: Link;
  readonly negative: Link;
}

/**
 * Puts a graph together, node by node. The nodes of ComfyUI's canonical text-to-image graph keep the ids that everybody
 * knows them by: 3 samples, 4 loads, 5 is the latent, 6 and 7 are the prompts, 8 decodes, 9 saves.
 */
export class GraphBuilder {
  readonly #nodes: Record<string, GraphNode> = {};
  #nextShared = 10;
  readonly #nextOfImage = new Map<number, number>();

  get graph(): WorkflowGraph {
    return this.#nodes;
  }

  /** Adds a node under an id that is not taken, and returns that id. */
  add(id: string, classType: string, title: string, inputs: Readonly<Record<string, GraphValue>>): string {
    if (this.#nodes[id] !== undefined) {
      throw new Error(`node ${id} is in the graph already`);
    }
    this.#nodes[id] = { class_type: classType, inputs, _meta: { title } };
    return id;
  }

  /** Adds a node that all images of a job have in common, and returns its id. */
  share(classType: string, title: string, inputs: Readonly<Record<string, GraphValue>>): string {
    return this.add(this.#freeId(), classType, title, inputs);
  }

  #freeId(): string {
    while (this.#nodes[this.#nextShared] !== undefined) {
      this.#nextShared++;
    }
    return `${this.#nextShared++}`;
  }

  /** Adds a node for one image of a job, and returns its id. */
  addFor(
    { index, label }: ImagePlace,
    classType: string,
    title: string,
    inputs: Readonly<Record<string, GraphValue>>,
  ): string {
    const next = this.#nextOfImage.get(index) ?? 0;
    this.#nextOfImage.set(index, next + 1);
    return this.add(`${1_000 + 100 * index + next}`, classType, title + label, inputs);
  }
}

/** One of the images of a job. */
export interface ImagePlace {
  /** From 0. */
  readonly index: number;
  /** What titles of its nodes end with: ` 2 of 3`; empty if there is but one image. */
  readonly label: string;
}

/** Each image of a job of `count`. */
export function imagePlaces(count: number): ImagePlace[] {
  return Array.from({ length: count }, (_, index) => ({
    index,
    label: count === 1 ? "" : ` ${index + 1} of ${count}`,
  }));
}
