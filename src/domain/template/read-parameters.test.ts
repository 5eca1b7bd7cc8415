import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ServiceError } from "../errors.ts";
import type { GraphValue } from "../graph.ts";
import { applyParameters } from "./apply-parameters.ts";
import { readParameters } from "./read-parameters.ts";
import { classesOf, nodeClass, textToImage } from "./testing/graphs.ts";
import { buildParameter } from "./testing/parameters.ts";

const template = {
  name: "any",
  graph: textToImage,
  parameters: [
    buildParameter("prompt", "text", ["6.text"], { isRequired: true, maxLength: 20 }),
    buildParameter("title", "string", ["9.filename_prefix"], { default: "ComfyUI" }),
    buildParameter("steps", "integer", ["3.steps"], { default: 20, min: 1, max: 50 }),
    buildParameter("side", "integer", ["5.width", "5.height"], { default: 512, step: 8 }),
    buildParameter("cfg", "number", ["3.cfg"], { default: 8, min: 1, step: 0.1 }),
    buildParameter("sampler", "choice", ["3.sampler_name"], { default: "euler" }),
    buildParameter("scheduler", "choice", ["3.scheduler"], {
      default: "normal",
      choices: ["normal", "karras"],
    }),
    buildParameter("checkpoint", "choice", ["4.ckpt_name"], { defaultsToFirst: true }),
    buildParameter("seed", "seed", ["3.seed"]),
  ],
};

const classes = classesOf(
  nodeClass("KSampler", [
    { name: "steps", type: "INT", min: 1, max: 40 },
    { name: "sampler_name", type: "COMBO", choices: ["euler", "dpmpp_2m"] },
    { name: "seed", type: "INT", min: 0, max: 2n ** 64n - 1n },
  ]),
  nodeClass("CheckpointLoaderSimple", [
    { name: "ckpt_name", type: "COMBO", choices: ["sdxl\\base.safetensors", "sd15.safetensors"] },
  ]),
);

const randomSeed = () => 12_345n;
const read = (given: Readonly<Record<string, GraphValue>>, known: typeof classes | undefined = classes) =>
  readParameters(template, given, { classes: known, randomSeed });

describe("readParameters", () => {
  it("fills in defaults, the first of what the backend lists, and a random seed", () => {
    expect(Object.fromEntries(read({ prompt: "a fox", steps: null }).plain)).toEqual({
      ...{ prompt: "a fox", title: "ComfyUI", steps: 20, side: 512, cfg: 8 },
      ...{ sampler: "euler", scheduler: "normal", checkpoint: "sdxl\\base.safetensors", seed: 12_345 },
    });
  });

  it("repeats only the beginning of names that are far too long", () => {
    const long = "x".repeat(100_000);
    const { details } = failure(() => read({ prompt: "a fox", [long]: 1, sampler: long }));
    const { violations = [] } = details;
    expect(violations.map(({ field }) => field.length)).toEqual([284, 35]);
    expect(violations.every(({ description }) => description.length < 400)).toBe(true);
  });

  it("leaves the graph's own value where nothing is known of the backend", () => {
    const { plain } = read({ prompt: "a fox" }, new Map());
    expect(plain.has("checkpoint")).toBe(false);
    expect(applyParameters(template, plain)["4"]).toEqual(textToImage["4"]);
  });

  it("takes choices by either separator of paths, and in any spelling while nothing is known", () => {
    const given = { prompt: "a fox", checkpoint: "sdxl/base.safetensors" };
    expect(read(given).plain.get("checkpoint")).toBe("sdxl\\base.safetensors");
    expect(read(given, new Map()).plain.get("checkpoint")).toBe("sdxl/base.safetensors");
  });

  it.each<[name: string, given: GraphValue, value: number | bigint]>([
    ["seed", "18446744073709551615", 2n ** 64n - 1n],
    ["seed", 2n ** 64n - 1n, 2n ** 64n - 1n],
    ["seed", "7", 7],
    ["seed", 2 ** 53 - 1, 2 ** 53 - 1],
    ["seed", "9007199254740993", 2n ** 53n + 1n],
    ["side", "0512", 512],
    ["cfg", 7.3, 7.3],
  ])("keeps every digit of %s %s", (name, given, value) => {
    expect(read({ prompt: "", [name]: given }).plain.get(name)).toBe(value);
  });

  it.each<[name: string, given: GraphValue, text: RegExp]>([
    ["prompt", null, /^value is required$/],
    ["prompt", 5, /must be text, not a number/],
    ["prompt", "x".repeat(21), /has 21 characters; at most 20/],
    ["title", "two\nlines", /one line/],
    ["steps", 51, /must be from 1 to 40, not 51/],
    ["steps", "41", /must be from 1 to 40, not 41/],
    ["steps", 0, /must be from 1 to 40, not 0/],
    ["steps", 2.5, /must be a whole number$/],
    ["steps", "many", /a whole number, or a string of its digits/],
    ["steps", true, /must be a whole number, not true or false/],
    ["side", 513, /must be a multiple of 8, not 513/],
    ["cfg", "7", /must be a number, not text/],
    ["cfg", 0.5, /must be at least 1, not 0.5/],
    ["cfg", 7.25, /must be a multiple of 0.1, not 7.25/],
    ["sampler", "dpmp_2m", /has no choice "dpmp_2m"; the nearest there are: dpmpp_2m/],
    ["sampler", ["euler"], /one of the choices, not a list/],
    ["scheduler", "simple", /has no choice "simple"/],
    ["seed", 2 ** 53, /too large for a JSON number to keep all its digits; give it as a string/],
    ["seed", "18446744073709551616", /must be from 0 to 18446744073709551615/],
    ["seed", -1, /must be from 0 to 18446744073709551615, not -1; leave it out for a random one/],
    ["step", 5, /the template any has no such parameter; the nearest it has: steps/],
    ["__proto__", 5, /has no such parameter/],
  ])("refuses %s %s", (name, given, text) => {
    const error = failure(() =>
      read(
        Object.fromEntries([
          ["prompt", "a fox"],
          [name, given],
        ]),
      ),
    );
    expect(error.reason).toBe("INVALID_FIELD");
    expect(error.details.violations).toEqual([
      { field: `spec.template.parameters["${name}"]`, description: expect.stringMatching(text) },
    ]);
  });

  it("names everything that is wrong at once", () => {
    const { message, details } = failure(() => read({ steps: 0, cfg: "x", colour: "red" }));
    expect(details.violations?.map(({ field }) => field)).toEqual(
      ["colour", "prompt", "steps", "cfg"].map((name) => `spec.template.parameters["${name}"]`),
    );
    expect(message).toMatch(/^spec\.template\.parameters\["colour"\]: .* \(and 3 more\)$/);
  });

  it("says when it is the default that the backend does not have", () => {
    const without = classesOf(
      nodeClass("KSampler", [{ name: "sampler_name", type: "COMBO", choices: ["lms"] }]),
    );
    expect(failure(() => read({ prompt: "" }, without)).message).toMatch(
      /"sampler"\]: not given, and its default fails: has no choice "euler"/,
    );
  });

  it("draws seeds within their bounds", () => {
    const parameters = [buildParameter("seed", "seed", ["3.seed"], { min: 100, max: 199 })];
    const { plain } = readParameters({ ...template, parameters }, {}, { randomSeed: () => 2n ** 53n - 1n });
    expect(plain.get("seed")).toBe(100 + ((2 ** 53 - 1) % 100));
  });

  it("reads whatever it is given, or refuses it as a field", () => {
    const { value } = fc.letrec<{ value: GraphValue }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 2 },
        fc.string({ unit: "binary", maxLength: 30 }),
        fc.double(),
        fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie("value"), { maxLength: 3 }),
        fc.dictionary(fc.string(), tie("value"), { maxKeys: 3 }),
      ),
    }));
    const name = fc.oneof(fc.constantFrom(...template.parameters.map((one) => one.name)), fc.string());
    fc.assert(
      fc.property(fc.dictionary(name, value, { maxKeys: 6 }), (given) => {
        try {
          const graph = applyParameters(template, read(given).plain);
          expect(Object.keys(graph)).toEqual(Object.keys(textToImage));
        } catch (error) {
          expect(error).toBeInstanceOf(ServiceError);
          expect(error).toMatchObject({ reason: "INVALID_FIELD" });
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("an image parameter", () => {
  const images = { ...template, parameters: [buildParameter("image", "image", ["9.filename_prefix"])] };
  const readOne = (image: GraphValue) =>
    readParameters(images, { image }, { randomSeed }).images.get("image");
  const assetId = "0".repeat(64);

  it.each<[GraphValue, unknown]>([
    [{ asset_id: assetId }, { type: "asset", assetId }],
    [
      { assetId, url: null },
      { type: "asset", assetId },
    ],
    [{ data: "AAECAw==" }, { type: "data", data: Uint8Array.of(0, 1, 2, 3) }],
    [{ data: "-_8" }, { type: "data", data: Uint8Array.of(0xfb, 0xff) }],
    [{ url: "https://example.com/a.png" }, { type: "url", url: "https://example.com/a.png" }],
  ])("takes %j", (given, image) => {
    expect(readOne(given)).toEqual(image);
  });

  it.each<[GraphValue, RegExp]>([
    ["photo.png", /must be an image, .* not text$/],
    [[assetId], /not a list$/],
    [{}, /must be an image/],
    [{ asset_id: assetId, url: "https://example.com" }, /must be an image/],
    [{ asset_id: "abc" }, /asset_id: must be the id of an asset/],
    [{ data: "" }, /data: must be the bytes of an image file in base64/],
    [{ data: "not base64!" }, /data: must be the bytes/],
    [{ url: "no address" }, /url: must be an address/],
    [{ file: "x" }, /must be an image/],
  ])("refuses %j", (given, text) => {
    expect(failure(() => readOne(given)).details.violations).toEqual([
      { field: 'spec.template.parameters["image"]', description: expect.stringMatching(text) },
    ]);
  });

  it("that is left out leaves the graph as it is", () => {
    const { plain, images: given } = readParameters(images, {}, { randomSeed });
    expect([plain.size, given.size]).toEqual([0, 0]);
  });
});

describe("applyParameters", () => {
  it("sets every target of a parameter and nothing else", () => {
    const { plain } = read({ prompt: "a fox", side: 1024, seed: "18446744073709551615" });
    expect(applyParameters(template, plain)).toEqual({
      ...textToImage,
      "3": { ...textToImage["3"], inputs: { ...textToImage["3"]?.inputs, seed: 2n ** 64n - 1n } },
      "4": { ...textToImage["4"], inputs: { ckpt_name: "sdxl\\base.safetensors" } },
      "5": { ...textToImage["5"], inputs: { width: 1024, height: 1024, batch_size: 1 } },
      "6": { ...textToImage["6"], inputs: { text: "a fox", clip: ["4", 1] } },
    });
  });
});

function failure(work: () => unknown): ServiceError {
  try {
    work();
  } catch (error) {
    return error instanceof ServiceError ? error : expect.fail(String(error));
  }
  return expect.fail("nothing was thrown");
}
