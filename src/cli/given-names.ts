import type { FileName } from "./output-target.ts";

/**
 * The names that a command has given to its files. What it saves may replace files of earlier commands, but not its own:
 * the images of a workflow, or of jobs that differ in their sampler alone, are all named by the same seed.
 */
export class GivenNames {
  readonly #taken = new Set<string>();

  /** `name`, or if it was given before, `name` with the first number that makes another of it: `fox-2.png`. */
  give({ stem, extension }: FileName): FileName {
    for (let number = 1; ; number++) {
      const name = { stem: number === 1 ? stem : `${stem}-${number}`, extension };
      const key = `${name.stem}.${extension}`.toLowerCase();
      if (!this.#taken.has(key)) {
        this.#taken.add(key);
        return name;
      }
    }
  }
}
