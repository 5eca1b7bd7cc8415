import { describe, expect, it } from "vitest";
import { buildInputImage, buildPicture } from "../../../test/support/generations.ts";
import { graphText } from "../../../test/support/graph-text.ts";
import { buildPicture as buildPicturePlan } from "./build-picture.ts";
import { buildUpscaleOnly } from "./build-upscale.ts";
import { pictureModes, upscaleModes } from "./testing/modes.ts";

describe("the graph of", () => {
  it.each(Object.entries(pictureModes))("%s", async (name, parts) => {
    const { graph } = buildPicturePlan(buildPicture(parts), "prefix");
    await expect(graphText(graph)).toMatchFileSnapshot(`goldens/${slug(name)}.txt`);
  });

  it.each(Object.entries(upscaleModes))("%s", async (name, upscale) => {
    const task = { type: "upscale", image: buildInputImage(), upscale } as const;
    const { graph, images } = buildUpscaleOnly(task, "prefix");
    expect(images).toEqual([{ samplerNodeIds: [], saveNodeId: "9" }]);
    await expect(graphText(graph)).toMatchFileSnapshot(`goldens/${slug(name)}.txt`);
  });
});

describe.each(Object.entries(pictureModes))("the plan of %s", (_, parts) => {
  const { graph, inputs, images } = buildPicturePlan(buildPicture(parts), "prefix");

  it("links to nodes that are there", () => {
    const values = Object.values(graph).flatMap((node) => Object.values(node.inputs));
    const linked = values.flatMap((value) => (Array.isArray(value) ? [value[0]] : []));
    expect(linked.filter((id) => graph[id] === undefined)).toEqual([]);
  });

  it("has no node in vain", () => {
    const values = Object.values(graph).flatMap((node) => Object.values(node.inputs));
    const linked = new Set(values.flatMap((value) => (Array.isArray(value) ? [value[0]] : [])));
    const saving = images.map(({ saveNodeId }) => saveNodeId);
    expect(
      Object.keys(graph)
        .filter((id) => !linked.has(id))
        .toSorted(),
    ).toEqual(saving.toSorted());
  });

  it("names each file that the graph reads once, and no other", () => {
    const read = Object.values(graph).flatMap(({ inputs: { image } }) =>
      typeof image === "string" ? image : [],
    );
    expect(inputs.map(({ fileName }) => fileName).toSorted()).toEqual([...new Set(read)].toSorted());
  });

  it("says of each image which nodes sample and save it", () => {
    for (const { samplerNodeIds, saveNodeId } of images) {
      expect(graph[saveNodeId]?.class_type).toBe("SaveImage");
      expect(samplerNodeIds.map((id) => graph[id]?.class_type)).toEqual(
        samplerNodeIds.map(() => expect.stringMatching(/^KSampler/)),
      );
    }
  });
});

function slug(name: string): string {
  return name.replaceAll(/[^a-z0-9]+/gi, "-").toLowerCase();
}
