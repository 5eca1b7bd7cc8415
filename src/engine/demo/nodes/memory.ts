import { outOfMemory } from "../python.ts";

/** Pixels of one value that fit into the engine's memory. */
const MOST_PIXELS = 64 * 1024 * 1024;

/** @throws PythonError as ComfyUI does when memory does not suffice, if that many pictures are too much */
export function reserve(width: number, height: number, count: number): void {
  if (width * height * count > MOST_PIXELS) {
    throw outOfMemory();
  }
}
