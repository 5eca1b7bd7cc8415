import { randomUUID } from "node:crypto";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { type Graph, type GraphNode, type Input, type Link, saveImage, txt2img } from "./graphs.ts";
import { type OpenServer, Session } from "./session.ts";
import { inputPath, upload } from "./uploads.ts";

/** A picture as numbers: `channels` a pixel, row by row. */
interface Raw {
  width: number;
  height: number;
  data: number[];
}

/** What nodes make of pixels, where their arithmetic leaves no choice. */
export function describePixels(open: OpenServer): void {
  describe("pixels", () => {
    it("loads a picture as it is, and without alpha a mask of 64 × 64 zeros", async () => {
      await using session = await Session.start(open);
      const picture = randomPicture(10, 6, 3);
      const { image, mask } = await draw(session, {
        load: node("LoadImage", { image: await uploaded(session, picture, 3) }),
        shown: node("MaskToImage", { mask: ["load", 1] }),
        image: saveImage(["load", 0]),
        mask: saveImage(["shown", 0]),
      });
      expect(image).toEqual(picture);
      expect(mask).toEqual(flat(64, 64, 0));
    });

    it("takes what is transparent, or a colour, as mask", async () => {
      await using session = await Session.start(open);
      const picture = randomPicture(7, 5, 4);
      const image = await uploaded(session, picture, 4);
      const pictures = await draw(session, {
        load: node("LoadImage", { image }),
        alpha: node("LoadImageMask", { image, channel: "alpha" }),
        green: node("LoadImageMask", { image, channel: "green" }),
        ...shownMask("ofPicture", ["load", 1]),
        ...shownMask("ofAlpha", ["alpha", 0]),
        ...shownMask("ofGreen", ["green", 0]),
      });
      const transparency = channelOf(picture, 3).map((alpha) => 255 - alpha);
      expectClose(channelOf(pictures.ofPicture, 0, 3), transparency, 1);
      expectClose(channelOf(pictures.ofAlpha, 0, 3), transparency, 1);
      expect(channelOf(pictures.ofGreen, 0, 3)).toEqual(channelOf(picture, 1));
    });

    it("scales to the size asked for, and cuts off at both sides what goes beyond its shape", async () => {
      await using session = await Session.start(open);
      const picture = randomPicture(8, 4, 3);
      const { cut, wide, twice } = await draw(session, {
        load: node("LoadImage", { image: await uploaded(session, picture, 3) }),
        c: node("ImageScale", { image: ["load", 0], ...scale(4, 4, "center") }),
        w: node("ImageScale", { image: ["load", 0], ...scale(16, 0, "disabled") }),
        t: node("ImageScaleBy", { image: ["load", 0], upscale_method: "nearest-exact", scale_by: 2 }),
        cut: saveImage(["c", 0]),
        wide: saveImage(["w", 0]),
        twice: saveImage(["t", 0]),
      });
      expect(cut).toEqual(pick(4, 4, (x, y) => pixelAt(picture, x + 2, y)));
      expect(wide).toEqual(pick(16, 8, (x, y) => pixelAt(picture, x >> 1, y >> 1)));
      expect(twice).toEqual(wide);
    });

    it("pads a picture with grey, and masks that with a soft edge", async () => {
      await using session = await Session.start(open);
      const picture = randomPicture(16, 12, 3);
      const { padded, mask } = await draw(session, {
        load: node("LoadImage", { image: await uploaded(session, picture, 3) }),
        pad: node("ImagePadForOutpaint", {
          image: ["load", 0],
          left: 8,
          top: 0,
          right: 0,
          bottom: 16,
          feathering: 4,
        }),
        padded: saveImage(["pad", 0]),
        ...shownMask("mask", ["pad", 1]),
      });
      const isInside = (x: number, y: number) => x >= 8 && y < 12;
      expect(padded).toEqual(
        pick(24, 28, (x, y) => (isInside(x, y) ? pixelAt(picture, x - 8, y) : [127, 127, 127])),
      );
      const softness = (x: number, y: number) => Math.max(0, (4 - Math.min(x - 8, 12 - y)) / 4) ** 2;
      expectClose(
        channelOf(mask, 0, 3),
        pick(24, 28, (x, y) => [isInside(x, y) ? Math.floor(255 * softness(x, y)) : 255]).data,
        1,
      );
    });

    it("grows masks by pixels, with corners or without", async () => {
      await using session = await Session.start(open);
      const { tapered, square, less } = await draw(session, {
        ...dot(6),
        t: node("GrowMask", { mask: ["dot", 0], expand: 2, tapered_corners: true }),
        s: node("GrowMask", { mask: ["dot", 0], expand: 2, tapered_corners: false }),
        l: node("GrowMask", { mask: ["s", 0], expand: -1, tapered_corners: false }),
        ...shownMask("tapered", ["t", 0]),
        ...shownMask("square", ["s", 0]),
        ...shownMask("less", ["l", 0]),
      });
      const within = (distance: (dx: number, dy: number) => number, most: number) =>
        pick(16, 16, (x, y) => (distance(Math.abs(x - 6), Math.abs(y - 6)) <= most ? WHITE : BLACK));
      expect(tapered).toEqual(within((dx, dy) => dx + dy, 2));
      expect(square).toEqual(within(Math.max, 2));
      expect(less).toEqual(within(Math.max, 1));
    });

    it("shows masks in grey, cutting fractions off", async () => {
      await using session = await Session.start(open);
      const values = [0, 0.2, 0.5, 0.999, 1];
      const graph = values.map((value, i) => ({
        [`m${i}`]: node("SolidMask", { value, width: 3, height: 2 }),
        ...shownMask(`v${i}`, [`m${i}`, 0]),
      }));
      const pictures = await draw(session, Object.assign({}, ...graph));
      expect(values.map((_, i) => pictures[`v${i}`]?.data[0])).toEqual([0, 51, 127, 254, 255]);
    });

    it("lays one picture over another where a mask says so", async () => {
      await using session = await Session.start(open);
      const picture = randomPicture(16, 16, 3);
      const { result } = await draw(session, {
        ...dot(6),
        load: node("LoadImage", { image: await uploaded(session, picture, 3) }),
        red: node("EmptyImage", { width: 16, height: 16, batch_size: 1, color: 0xff0000 }),
        lay: node("ImageCompositeMasked", {
          destination: ["load", 0],
          source: ["red", 0],
          x: 0,
          y: 0,
          resize_source: false,
          mask: ["dot", 0],
        }),
        result: saveImage(["lay", 0]),
      });
      expect(result).toEqual(
        pick(16, 16, (x, y) => (x === 6 && y === 6 ? [255, 0, 0] : pixelAt(picture, x, y))),
      );
    });

    it("cuts a picture, and what a latent cannot hold at both sides", async () => {
      await using session = await Session.start(open);
      const picture = randomPicture(70, 50, 3);
      const { cut, larger } = await draw(session, {
        ...checkpoint(session),
        load: node("LoadImage", { image: await uploaded(session, picture, 3) }),
        crop: node("ImageCrop", { image: ["load", 0], width: 9, height: 99, x: 3, y: 40 }),
        encode: node("VAEEncode", { pixels: ["load", 0], vae: ["4", 2] }),
        up: node("LatentUpscaleBy", { samples: ["encode", 0], upscale_method: "bislerp", scale_by: 1.5 }),
        upped: node("VAEDecode", { samples: ["up", 0], vae: ["4", 2] }),
        cut: saveImage(["crop", 0]),
        larger: saveImage(["upped", 0]),
      });
      expect(cut).toEqual(pick(9, 10, (x, y) => pixelAt(picture, x + 3, y + 40)));
      expect(larger).toMatchObject({ width: 96, height: 72 });
    });

    // Trap: without alpha the mask of LoadImage is empty, and such an inpaint changes nothing.
    it("changes nothing at denoise 0, or under a noise mask of zeros", async () => {
      await using session = await Session.start(open);
      const picture = randomPicture(64, 64, 3);
      const sampler = txt2img({ checkpoint: session.checkpoint, steps: 1 })["3"]?.inputs ?? {};
      const { before, still, masked } = await draw(session, {
        ...checkpoint(session),
        load: node("LoadImage", { image: await uploaded(session, picture, 3) }),
        encode: node("VAEEncode", { pixels: ["load", 0], vae: ["4", 2] }),
        mask: node("SetLatentNoiseMask", { samples: ["encode", 0], mask: ["load", 1] }),
        ...sampled("before", ["encode", 0]),
        s: node("KSampler", { ...sampler, latent_image: ["encode", 0], denoise: 0 }),
        ...sampled("still", ["s", 0]),
        m: node("KSampler", { ...sampler, latent_image: ["mask", 0], denoise: 1 }),
        ...sampled("masked", ["m", 0]),
      });
      expect(still).toEqual(before);
      expectClose(masked?.data, before?.data, 2);
    });

    it("names animations, latents and texts that a graph leaves", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const filename_prefix = `contract/${randomUUID()}`;
      const { record } = await session.run(
        {
          images: node("EmptyImage", { width: 8, height: 8, batch_size: 2, color: 255 }),
          latent: node("EmptyLatentImage", { width: 64, height: 64, batch_size: 1 }),
          webp: node("SaveAnimatedWEBP", {
            images: ["images", 0],
            filename_prefix,
            fps: 6,
            lossless: true,
            quality: 80,
            method: "default",
          }),
          png: node("SaveAnimatedPNG", { images: ["images", 0], filename_prefix, fps: 6, compress_level: 4 }),
          save: node("SaveLatent", { samples: ["latent", 0], filename_prefix }),
          text: node("PreviewAny", { source: "a text" }),
        },
        { socket },
      );
      const files = (extension: string) => [
        {
          filename: expect.stringMatching(`_0000\\d_\\.${extension}$`),
          subfolder: "contract",
          type: "output",
        },
      ];
      expect(record.outputs).toEqual({
        webp: { images: files("webp"), animated: [true] },
        png: { images: files("png"), animated: [true] },
        save: { latents: files("latent") },
        text: { text: ["a text"] },
      });
    });
  });
}

const WHITE = [255, 255, 255];
const BLACK = [0, 0, 0];

function node(class_type: string, inputs: Record<string, Input>): GraphNode {
  return { class_type, inputs };
}

/** Nodes that save a mask as `name`. */
function shownMask(name: string, mask: Link): Graph {
  return { [`${name}Shown`]: node("MaskToImage", { mask }), [name]: saveImage([`${name}Shown`, 0]) };
}

/** Nodes that save a latent as `name`. */
function sampled(name: string, samples: Link): Graph {
  return {
    [`${name}Decoded`]: node("VAEDecode", { samples, vae: ["4", 2] }),
    [name]: saveImage([`${name}Decoded`, 0]),
  };
}

/** Nodes that make a mask of 16 × 16 pixels, `dot`, of which one counts, at the same place in both directions. */
function dot(place: number): Graph {
  return {
    nothing: node("SolidMask", { value: 0, width: 16, height: 16 }),
    one: node("SolidMask", { value: 1, width: 1, height: 1 }),
    dot: node("MaskComposite", {
      destination: ["nothing", 0],
      source: ["one", 0],
      x: place,
      y: place,
      operation: "add",
    }),
  };
}

/** The checkpoint and the texts of the base graph, under its ids. */
function checkpoint(session: Session): Graph {
  const { "4": loader, "6": positive, "7": negative } = session.txt2img();
  return {
    ...(loader && { "4": loader }),
    ...(positive && { "6": positive }),
    ...(negative && { "7": negative }),
  };
}

function scale(width: number, height: number, crop: string): Record<string, Input> {
  return { upscale_method: "nearest-exact", width, height, crop };
}

/** Runs a graph, and returns the picture of each node that saves one. */
async function draw(session: Session, graph: Graph): Promise<Record<string, Raw>> {
  const { record } = await session.run(graph, { socket: await session.connect() });
  const pictures: Record<string, Raw> = {};
  for (const [nodeId, { images = [] }] of Object.entries(record.outputs)) {
    for (const image of images) {
      const { data, info } = await sharp((await session.view(image)).body)
        .raw()
        .toBuffer({ resolveWithObject: true });
      pictures[nodeId] = { width: info.width, height: info.height, data: [...data] };
    }
  }
  return pictures;
}

async function uploaded(session: Session, { width, height, data }: Raw, channels: 3 | 4): Promise<string> {
  const image = await sharp(Uint8Array.from(data), { raw: { width, height, channels } }).png().toBuffer();
  return inputPath(
    await upload(session, { image, name: `${randomUUID()}.png`, subfolder: "contract/pixels" }),
  );
}

function randomPicture(width: number, height: number, channels: number): Raw {
  return { width, height, data: [...crypto.getRandomValues(new Uint8Array(width * height * channels))] };
}

function flat(width: number, height: number, value: number): Raw {
  return { width, height, data: Array<number>(width * height * 3).fill(value) };
}

function pick(width: number, height: number, at: (x: number, y: number) => readonly number[]): Raw {
  const data = Array.from({ length: width * height }, (_, i) => at(i % width, Math.floor(i / width))).flat();
  return { width, height, data };
}

function pixelAt({ width, data }: Raw, x: number, y: number): number[] {
  return data.slice((y * width + x) * 3, (y * width + x) * 3 + 3);
}

function channelOf(picture: Raw | undefined, channel: number, channels = 4): number[] {
  return picture?.data.filter((_, i) => i % channels === channel) ?? [];
}

/** Fails if the lists differ in length, or two numbers in them by more than `most`. */
function expectClose(
  actual: readonly number[] | undefined,
  wanted: readonly number[] | undefined,
  most: number,
) {
  expect(actual).toHaveLength(wanted?.length ?? 0);
  const worst = actual?.reduce((far, value, i) => Math.max(far, Math.abs(value - (wanted?.[i] ?? 0))), 0);
  expect(worst).toBeLessThanOrEqual(most);
}
