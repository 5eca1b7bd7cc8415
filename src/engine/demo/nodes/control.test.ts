import { describe, expect, it } from "vitest";
import type { Json } from "../json.ts";
import type { Pixels } from "../picture/picture.ts";
import { difference, latentOf, runNode, testPicture, valueIn } from "../testing/run-node.ts";
import { pixelsOf, testDraw, testSample, testText } from "../testing/test-values.ts";
import type { Conditioning, ControlNet, Value } from "./value.ts";

/** A white square on black; its outline lies at 20 and 43, in both directions. */
const hint = pictureOf(64, 64, (x, y) => (x >= 20 && x < 44 && y >= 20 && y < 44 ? 255 : 0));

describe("a ControlNet", () => {
  it("changes the picture at the outlines of its hint, and nowhere else", async () => {
    const [plain, guided] = [await testDraw(), await drawWith(hint)];
    const changed = changedPixels(plain, guided);
    expect(changed.size).toBeGreaterThan(150);
    for (const pixel of changed) {
      expect(isOutline(pixel % 64, Math.floor(pixel / 64))).toBe(true);
    }
  });

  it("leaves more of a trace the stronger it is, in proportion", async () => {
    const plain = await testDraw();
    const [weak, strong] = [await drawWith(hint, { strength: 0.25 }), await drawWith(hint, { strength: 1 })];
    const ratio = difference(plain, strong) / difference(plain, weak);
    expect(ratio).toBeGreaterThan(3.8);
    expect(ratio).toBeLessThan(4.2);
  });

  it.each<[string, Record<string, Json>]>([
    ["of no strength", { strength: 0 }],
    ["that ends where it begins", { start_percent: 0.5, end_percent: 0.5 }],
    ["that ends before it begins", { start_percent: 0.8, end_percent: 0.2 }],
  ])("%s leaves the picture as it is", async (_, changes) => {
    expect(await drawWith(hint, changes)).toEqual(await testDraw());
  });

  it("counts by the share of the steps for which it is on", async () => {
    const half = await drawWith(hint, { start_percent: 0.5 });
    expect(half).toEqual(await drawWith(hint, { strength: 0.5 }));
  });

  it("is without effect on a sampler that does only steps outside of its range", async () => {
    const latent_image = await latentOf(testPicture(64, 64));
    const late = { latent_image, denoise: 0.4 };
    const early = await controlled(hint, { end_percent: 0.6 });
    expect(await testDraw({ ...late, positive: early })).toEqual(await testDraw(late));
    const onTime = await controlled(hint, { start_percent: 0.6 });
    expect(await testDraw({ ...late, positive: onTime })).not.toEqual(await testDraw(late));
  });

  it("works beside another one", async () => {
    const other = pictureOf(64, 64, (x) => (x < 8 ? 255 : 0));
    const both = await testDraw({ positive: await controlled(other, {}, await controlled(hint)) });
    const changed = changedPixels(await testDraw(), both);
    expect(changed).toEqual(
      changedPixels(await testDraw(), await drawWith(hint)).union(
        changedPixels(await testDraw(), await drawWith(other)),
      ),
    );
  });

  it("counts once where two texts bear it", async () => {
    const conditioning_1 = await controlled(hint, { strength: 0.5 });
    const combined = await runNode("ConditioningCombine", {
      conditioning_1,
      conditioning_2: conditioning_1,
    });
    const text = { positive: testText("a red fox in the snow, a red fox in the snow") };
    const wanted = await testDraw({ positive: await controlled(hint, { strength: 0.5 }, text.positive) });
    expect(await testDraw({ positive: valueIn(combined, "CONDITIONING") })).toEqual(wanted);
  });

  it("uses the middle of a hint of another shape, in any size", async () => {
    const wide = pictureOf(256, 128, (x, y) => (x >= 104 && x < 152 && y >= 40 && y < 88 ? 255 : 0));
    const changed = changedPixels(await testDraw(), await drawWith(wide));
    expect(changed.size).toBeGreaterThan(100);
    for (const pixel of changed) {
      expect(isOutline(pixel % 64, Math.floor(pixel / 64))).toBe(true);
    }
  });

  it.each([
    ["demo-depth.safetensors", "darkens what is far"],
    ["demo-tile.safetensors", "takes the colours of its hint"],
  ])("that is %s %s", async (name) => {
    const dark = pictureOf(64, 64, () => 0);
    const net = await loaded(name);
    expect(lightOf(await drawWith(dark, {}, net))).toBeLessThan(lightOf(await testDraw()) * 0.75);
    const edges = await loaded("demo-canny.safetensors");
    expect(await drawWith(dark, {}, edges)).toEqual(await testDraw());
  });

  it("of many types looks for what its type is set to", async () => {
    const union = await loaded("demo-union.safetensors");
    const typed = async (type: string) =>
      valueIn(await runNode("SetUnionControlNetType", { control_net: union, type }), "CONTROL_NET");
    expect(await drawWith(hint, {}, await typed("auto"))).toEqual(await drawWith(hint, {}, union));
    const depth = await loaded("demo-depth.safetensors");
    expect(await drawWith(hint, {}, await typed("depth"))).toEqual(await drawWith(hint, {}, depth));
  });

  it("can be applied by the old class, without a range", async () => {
    const old = await runNode("ControlNetApply", {
      conditioning: testText("a red fox in the snow"),
      control_net: await loaded("demo-canny.safetensors"),
      image: { kind: "IMAGE", images: [hint] },
      strength: 0.7,
    });
    const positive = valueIn(old, "CONDITIONING");
    expect(await testDraw({ positive })).toEqual(await drawWith(hint, { strength: 0.7 }));
  });

  it("takes the hints of a batch in turn", async () => {
    const blank = pictureOf(64, 64, () => 0);
    const positive = await controlled(hint, {}, undefined, undefined, [blank]);
    const latent_image = valueIn(
      await runNode("EmptyLatentImage", { width: 64, height: 64, batch_size: 2 }),
      "LATENT",
    );
    const [guided, plain] = [
      await testSample("KSampler", { latent_image, positive }),
      await testSample("KSampler", { latent_image }),
    ];
    expect(guided.canvases?.[0]?.pixels).not.toEqual(plain.canvases?.[0]?.pixels);
    expect(guided.canvases?.[1]?.pixels).toEqual(plain.canvases?.[1]?.pixels);
    expect(await pixelsOf(guided)).toEqual(await drawWith(hint));
  });
});

async function drawWith(
  image: Pixels,
  changes: Record<string, Json> = {},
  net?: ControlNet,
): Promise<Uint8Array> {
  return testDraw({ positive: await controlled(image, changes, undefined, net) });
}

async function controlled(
  image: Pixels,
  changes: Record<string, Json> = {},
  positive: Conditioning = testText("a red fox in the snow"),
  net?: ControlNet,
  more: readonly Pixels[] = [],
): Promise<Conditioning> {
  const inputs: Record<string, Json | Value> = {
    positive,
    negative: testText(""),
    control_net: net ?? (await loaded("demo-canny.safetensors")),
    image: { kind: "IMAGE", images: [image, ...more] },
    strength: 1,
    start_percent: 0,
    end_percent: 1,
    ...changes,
  };
  return valueIn(await runNode("ControlNetApplyAdvanced", inputs), "CONDITIONING");
}

async function loaded(control_net_name: string): Promise<ControlNet> {
  return valueIn(await runNode("ControlNetLoader", { control_net_name }), "CONTROL_NET");
}

function pictureOf(width: number, height: number, at: (x: number, y: number) => number): Pixels {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const pixel = Math.floor(i / 3);
    return at(pixel % width, Math.floor(pixel / width));
  });
  return { width, height, data };
}

/** Whether a pixel lies at most one beside the outline of the square. */
function isOutline(x: number, y: number): boolean {
  const near = (at: number) => Math.abs(at - 19.5) <= 1 || Math.abs(at - 43.5) <= 1;
  const within = (at: number) => at >= 18 && at <= 45;
  return (near(x) && within(y)) || (near(y) && within(x));
}

function changedPixels(a: Uint8Array, b: Uint8Array): Set<number> {
  return new Set([...a.keys()].filter((i) => a[i] !== b[i]).map((i) => Math.floor(i / 3)));
}

function lightOf(pixels: Uint8Array): number {
  return pixels.reduce((sum, value) => sum + value, 0) / pixels.length;
}
