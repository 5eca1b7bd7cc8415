import { describe, expect, it } from "vitest";
import { demoClasses } from "../../../test/support/demo-classes.ts";
import { parseNodeClasses } from "../../engine/comfyui/node-class.ts";
import { bindFiles, prefixFiles } from "./prepare-graph.ts";

const graph = {
  "1": { class_type: "LoadImage", inputs: { image: "mine.png" }, _meta: { title: "Fox" } },
  "12:3": { class_type: "LoadImage", inputs: {} },
  "2.5": { class_type: "LoadImage", inputs: {} },
  "3": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: ["1", 0] } },
  "4": { class_type: "SaveImage", inputs: { images: ["1", 0] } },
  "5": { class_type: "Unknown", inputs: { filename_prefix: "x" } },
};

describe("prefixFiles", () => {
  it("names the files of each saver after the job", () => {
    const { "3": three, "4": four, ...others } = prefixFiles(graph, demoClasses, "comfyrpc/ab/job");
    expect(three?.inputs).toEqual({ images: ["1", 0], filename_prefix: "comfyrpc/ab/job_0" });
    expect(four?.inputs).toEqual({ images: ["1", 0], filename_prefix: "comfyrpc/ab/job_1" });
    const { "3": _3, "4": _4, ...unchanged } = graph;
    expect(others).toEqual(unchanged);
  });
});

describe("a class that is not described", () => {
  const { classes } = parseNodeClasses({ Riddle: "what am I?" });

  it("has the files named that its node names, and takes any file", () => {
    const given = { "1": { class_type: "Riddle", inputs: { filename_prefix: "x" } } };
    expect(prefixFiles(given, classes, "job")["1"]?.inputs).toEqual({ filename_prefix: "job_0" });
    const without = { "1": { class_type: "Riddle", inputs: {} } };
    expect(prefixFiles(without, classes, "job")).toEqual(without);
    expect(bindFiles(without, classes, { "1.picture": "a.png" })).toEqual({
      graph: { "1": { class_type: "Riddle", inputs: { picture: "a.png" } } },
      faults: [],
    });
  });
});

describe("bindFiles", () => {
  it("puts the names of files where they belong", () => {
    const files = { "1.image": "a.png", "12:3.image": "b.png", "2.5.image": "c.png" };
    const { graph: bound, faults } = bindFiles(graph, demoClasses, files);
    expect(faults).toEqual([]);
    expect(bound).toEqual({
      ...graph,
      "1": { ...graph["1"], inputs: { image: "a.png" } },
      "12:3": { ...graph["12:3"], inputs: { image: "b.png" } },
      "2.5": { ...graph["2.5"], inputs: { image: "c.png" } },
    });
  });

  it("says of each place what is wrong with it, and leaves the graph as it is", () => {
    const files = { "9.image": "a", "1.mask": "b", image: "c", "3.images": "d" };
    const { graph: bound, faults } = bindFiles(graph, demoClasses, files);
    expect(bound).toEqual(graph);
    expect(faults).toEqual([
      { place: "9.image", description: expect.stringContaining("there is no such node") },
      { place: "1.mask", description: "LoadImage has no input for a file by this name; it has image" },
      { place: "image", description: expect.stringContaining("there is no such node") },
      {
        place: "3.images",
        description: "SaveImage has no input for a file by this name; it has filename_prefix",
      },
    ]);
  });
});
