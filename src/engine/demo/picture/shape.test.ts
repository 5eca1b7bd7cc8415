import { describe, expect, it } from "vitest";
import { createCanvas } from "./canvas.ts";
import { drawNow } from "./picture.ts";
import { fillPolygons, type Polygon, polygonsOf } from "./shape.ts";

const white = { table: Float32Array.from([255, 255, 255]), top: 0, bottom: 1, opacity: 1 };

/** Share of each pixel of a 4 × 4 canvas that the polygons cover, in percent. */
function coverage(...polygons: readonly Polygon[]): number[] {
  const canvas = createCanvas(4, 4);
  drawNow(fillPolygons(canvas, polygons, white));
  return Array.from({ length: 16 }, (_, i) => Math.round((canvas.pixels[i * 3] ?? 0) / 2.55));
}

describe("a filled shape", () => {
  it.each<[string, Polygon, number[]]>([
    ["whole pixels", [1, 1, 3, 1, 3, 2, 1, 2], [0, 0, 0, 0, 0, 100, 100, 0]],
    ["parts of pixels", [0.5, 0, 1.5, 0, 1.5, 1, 0.5, 1], [50, 50, 0, 0]],
    ["slopes", [0, 0, 4, 0, 0, 4], [100, 100, 100, 50, 100, 100, 50, 0]],
    ["what lies within the canvas", [-5, -5, 1, -5, 1, 9, -5, 9], [100, 0, 0, 0, 100]],
  ])("covers %s exactly", (_, polygon, wanted) => {
    expect(coverage(polygon).slice(0, wanted.length)).toEqual(wanted);
  });

  it("is the same in either direction, and a union where shapes overlap", () => {
    const square: Polygon = [1, 1, 3, 1, 3, 3, 1, 3];
    const reversed: Polygon = [1, 3, 3, 3, 3, 1, 1, 1];
    expect(coverage(reversed)).toEqual(coverage(square));
    expect(coverage(square, reversed)).toEqual(coverage(square));
  });

  it("is nothing outside the canvas", () => {
    expect(coverage([9, 9, 12, 9, 12, 12])).toEqual(Array(16).fill(0));
  });

  it("can be given as an SVG path", () => {
    expect(polygonsOf("M0 0 L2 0 L2 2 Z M5 5 L6 5 L6 6 Z")).toEqual([
      [0, 0, 2, 0, 2, 2],
      [5, 5, 6, 5, 6, 6],
    ]);
    const [curve] = polygonsOf("M0 0 C0 4 4 4 4 0 Z");
    expect(curve?.slice(-2)).toEqual([4, 0]);
    expect(Math.max(...(curve ?? []))).toBe(4);
  });
});
