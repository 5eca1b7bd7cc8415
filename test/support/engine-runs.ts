import type { DemoEngine } from "../../src/engine/demo/demo-engine.ts";
import type { RunPoint } from "../../src/engine/demo/faults.ts";

/** What the built-in engine has really run, which its history does not show: records are dropped and lost. */
export interface EngineRuns {
  /** Ids of the prompts that it has begun, in order; an id as often as it was begun. */
  readonly begun: readonly string[];
  /** Number of sampling steps that it has begun for a prompt, over all nodes and runs. */
  steps(promptId: string): number;
}

/** Watches what `engine` runs from now on: it asks its fault plan at the start of every prompt and step. */
export function watchRuns({ faults }: DemoEngine): EngineRuns {
  const points: RunPoint[] = [];
  const due = faults.due.bind(faults);
  faults.due = (point) => {
    points.push(point);
    return due(point);
  };
  return {
    get begun() {
      return points
        .filter(({ classType, step }) => classType === undefined && step === undefined)
        .map(({ promptId }) => promptId);
    },
    steps: (promptId) =>
      points.filter((point) => point.promptId === promptId && point.step !== undefined).length,
  };
}
