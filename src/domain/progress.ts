import type { WorkflowGraph } from "./graph.ts";
import type { NodeTiming } from "./job-event.ts";

/** How far a run is. Times are milliseconds. */
export interface ProgressReading {
  /** Step that the reporting node has finished, 0 to `steps`. */
  readonly step: number;
  readonly steps: number;
  /** Share of the whole graph that is done, 0 to 1; never falls. */
  readonly fraction: number;
  readonly elapsedMs: number;
  /** Estimate of the time to the end; `undefined` until a step has been timed. */
  readonly remainingMs: number | undefined;
}

/**
 * Follows one run of a graph: what share is done, what is left, and how long each node took.
 *
 * Nodes weigh about what they cost: a sampler as much as its steps, the others a step or less. The estimate goes by the
 * pace of the steps of this run, so that the time a model takes to load does not spoil it.
 */
export class RunProgress {
  readonly #nodes: ReadonlyMap<string, TrackedNode>;
  readonly #order: TrackedNode[] = [];
  readonly #totalWeight: number;
  readonly #startMs: number;
  #fraction = 0;
  /** Weight done and time when the node that runs now first reported a step. */
  #pace: { readonly nodeId: string; readonly fromMs: number; readonly fromWeight: number } | undefined;
  #msPerWeight: number | undefined;

  /** `startMs` is the monotonic time at which the run began; all later times are of the same clock. */
  constructor(graph: WorkflowGraph, cachedNodeIds: readonly string[], startMs: number) {
    const cached = new Set(cachedNodeIds);
    this.#nodes = new Map(
      Object.entries(graph).map(([id, node]) => [
        id,
        {
          id,
          classType: node.class_type,
          title: node._meta?.title ?? node.class_type,
          weight: weigh(node.class_type, node.inputs.steps),
          steps: 1,
          done: cached.has(id) ? 1 : 0,
          cached: cached.has(id),
        },
      ]),
    );
    this.#totalWeight = sum([...this.#nodes.values()].map(({ weight }) => weight)) || 1;
    this.#startMs = startMs;
    this.#fraction = this.#doneWeight() / this.#totalWeight;
  }

  get cachedNodeCount(): number {
    return [...this.#nodes.values()].filter(({ cached }) => cached).length;
  }

  /** Returns the node that begins, or `undefined` if it is not of this graph or had begun already. */
  nodeStarted(
    nodeId: string,
    nowMs: number,
  ): { readonly classType: string; readonly title: string } | undefined {
    const node = this.#nodes.get(nodeId);
    if (node === undefined || node.startMs !== undefined) {
      return undefined;
    }
    node.startMs = nowMs;
    this.#order.push(node);
    return node;
  }

  /** Takes in that a node has ended, and returns how far the run is; `undefined` if the node is not one that ran. */
  nodeFinished(nodeId: string, nowMs: number): ProgressReading | undefined {
    const node = this.#nodes.get(nodeId);
    if (node === undefined || node.cached) {
      return undefined;
    }
    node.done = 1;
    if (node.startMs !== undefined) {
      node.endMs ??= nowMs;
    }
    return this.#reading(node.steps, node.steps, nowMs);
  }

  /** Takes in that a node has done `value` of `max`, and returns how far the run is. */
  nodeProgress(nodeId: string, value: number, max: number, nowMs: number): ProgressReading {
    const steps = wholeNumber(max, 1);
    const step = Math.min(steps, wholeNumber(value, 0));
    const node = this.#nodes.get(nodeId);
    if (node !== undefined) {
      node.done = Math.max(node.done, step / steps);
      node.steps = steps;
      this.#measurePace(nodeId, nowMs);
    }
    return this.#reading(step, steps, nowMs);
  }

  /** Timings of the nodes that started, in that order, then of those from the cache. */
  nodeTimings(): NodeTiming[] {
    const ran = this.#order.map(({ id, classType, title, startMs, endMs }): NodeTiming => {
      const startOffsetMs = startMs === undefined ? {} : { startOffsetMs: startMs - this.#startMs };
      const durationMs = startMs === undefined || endMs === undefined ? {} : { durationMs: endMs - startMs };
      return { nodeId: id, classType, title, cached: false, ...startOffsetMs, ...durationMs };
    });
    const cached = [...this.#nodes.values()]
      .filter((node) => node.cached && node.startMs === undefined)
      .map(({ id, classType, title }): NodeTiming => ({ nodeId: id, classType, title, cached: true }));
    return [...ran, ...cached];
  }

  #reading(step: number, steps: number, nowMs: number): ProgressReading {
    this.#fraction = Math.max(this.#fraction, this.#doneWeight() / this.#totalWeight);
    const leftWeight = this.#totalWeight - this.#doneWeight();
    return {
      step,
      steps,
      fraction: Math.min(1, this.#fraction),
      elapsedMs: nowMs - this.#startMs,
      remainingMs: this.#msPerWeight === undefined ? undefined : this.#msPerWeight * leftWeight,
    };
  }

  #measurePace(nodeId: string, nowMs: number): void {
    const doneWeight = this.#doneWeight();
    if (this.#pace?.nodeId !== nodeId) {
      this.#pace = { nodeId, fromMs: nowMs, fromWeight: doneWeight };
      return;
    }
    const gained = doneWeight - this.#pace.fromWeight;
    if (gained > 0) {
      this.#msPerWeight = (nowMs - this.#pace.fromMs) / gained;
    }
  }

  #doneWeight(): number {
    return sum([...this.#nodes.values()].map(({ weight, done }) => weight * done));
  }
}

interface TrackedNode {
  readonly id: string;
  readonly classType: string;
  readonly title: string;
  readonly weight: number;
  readonly cached: boolean;
  /** As the node last said; 1 for a node that does not count any. */
  steps: number;
  /** 0 to 1. */
  done: number;
  startMs?: number;
  endMs?: number;
}

/** Cost of a node in sampling steps. */
function weigh(classType: string, steps: unknown): number {
  if (typeof steps === "number") {
    return steps;
  }
  return lightClasses.has(classType) ? 0.1 : 1;
}

const lightClasses: ReadonlySet<string> = new Set([
  "CLIPSetLastLayer",
  "EmptyLatentImage",
  "EmptySD3LatentImage",
]);

/** Nodes report whatever they like: fractions, nothing at all, more than there is. */
function wholeNumber(value: number, least: number): number {
  return Number.isFinite(value) ? Math.min(0xffff_ffff, Math.max(least, Math.round(value))) : least;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
