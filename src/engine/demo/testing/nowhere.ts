import type { FileStore } from "../files.ts";

/** A file store for tests that touch no files. */
export const nowhere: FileStore = {
  directories: { output: "/nowhere", input: "/nowhere", temp: "/nowhere" },
  inputs: () => [],
  pathOf: (name) => `/nowhere/${name}`,
  save: () => Promise.resolve([]),
  clearTemp: () => Promise.resolve(),
  [Symbol.asyncDispose]: () => Promise.resolve(),
};
