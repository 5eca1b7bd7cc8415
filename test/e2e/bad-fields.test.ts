import {
  type DescField,
  type DescMessage,
  fromJson,
  getOption,
  hasOption,
  type JsonObject,
} from "@bufbuild/protobuf";
import { type Path, type ReflectList, type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { createValidator, type Violation } from "@bufbuild/protovalidate";
import {
  type FieldRules,
  FieldRulesSchema,
  field as fieldRules,
  message as messageRules,
  oneof as oneofRules,
} from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { GenerationSpecSchema } from "../../gen/comfyrpc/v1/generation_pb.js";
import { GenerateRequestSchema, ImageService } from "../../gen/comfyrpc/v1/image_service_pb.js";
import { expectNoLeak, failureOf, type RpcFailure } from "../support/rpc-failure.ts";
import { type ServiceFixture, startServiceFixture } from "../support/start-service.ts";

/**
 * What a spec says wrong, field by field: every rule of the schema below `GenerationSpec`, what cannot be said together,
 * names, images and the operator's limits. Each is refused over gRPC and as JSON, and named by its path.
 */

let fixture: ServiceFixture;
let sessionManager: Http2SessionManager;
let clients: Readonly<Record<string, Client<typeof ImageService>>>;
let images: Readonly<Record<"opaque" | "holed" | "square" | "thin", JsonObject>>;

beforeAll(async () => {
  const env = {
    COMFYRPC_MAX_STEPS: "100",
    COMFYRPC_MAX_IMAGES: "4",
    COMFYRPC_MAX_PIXELS: String(512 * 512),
    COMFYRPC_MAX_UPSCALED_PIXELS: String(1_000_000),
    COMFYRPC_AI_MARK: "required",
  };
  fixture = await startServiceFixture({ env });
  sessionManager = new Http2SessionManager(fixture.url);
  clients = {
    gRPC: createClient(ImageService, createGrpcTransport({ baseUrl: fixture.url, sessionManager })),
    "Connect, JSON": createClient(
      ImageService,
      createConnectTransport({
        baseUrl: fixture.url,
        httpVersion: "2",
        sessionManager,
        useBinaryFormat: false,
      }),
    ),
  };
  images = {
    opaque: await picture(128, 96, 1),
    holed: await picture(128, 96, 0),
    square: await picture(64, 64, 1),
    thin: await picture(10, 3_000, 1),
  };
});

afterAll(async () => {
  sessionManager?.abort();
  await fixture?.[Symbol.asyncDispose]();
});

async function picture(width: number, height: number, alpha: number): Promise<JsonObject> {
  const background = { r: 60, g: 120, b: 180, alpha };
  const png = await sharp({ create: { width, height, channels: 4, background } })
    .png()
    .toBuffer();
  return { data: png.toString("base64") };
}

/** Sends a spec in every way, and expects the same failure, which tells nothing that it should not. */
async function expectRefused(spec: JsonObject, expected: Partial<RpcFailure>): Promise<void> {
  for (const [protocol, client] of Object.entries(clients)) {
    const failure = await failureOf(client.generate(fromJson(GenerateRequestSchema, { spec })));
    expect(failure, protocol).toMatchObject({ code: "InvalidArgument", ...expected });
    expect(failure.message.startsWith(`${failure.fields[0]}: `), failure.message).toBe(true);
    expectNoLeak(failure.everything);
  }
}

const small = { prompt: "a red fox", widthPx: 64, heightPx: 64, steps: 1 };
const image = { assetId: "a".repeat(64) };
const long = (length: number) => "a".repeat(length);

const lora = (fields: JsonObject) => ({ loras: [{ name: "demo-neon.safetensors" }, fields] });
const drawnOver = (fields: JsonObject) => ({ imageToImage: { image, ...fields } });
const inpaint = (fields: JsonObject) => ({ inpaint: { image, mask: image, ...fields } });
const outpaint = (fields: JsonObject) => ({
  prompt: "a red fox",
  outpaint: { image, leftPx: 8, ...fields },
});
const control = (fields: JsonObject) => ({
  controlNets: [{ model: "demo-canny.safetensors", image, ...fields }],
});
const files = (fields: JsonObject) => ({
  vae: "demo-vae.safetensors",
  modelFiles: {
    family: "MODEL_FAMILY_FLUX",
    diffusionModel: "demo-flux.safetensors",
    textEncoders: ["demo-clip_l.safetensors", "demo-t5xxl.safetensors"],
    ...fields,
  },
});
const refiner = (fields: JsonObject) => ({ refiner: { model: "demo-sdxl_refiner.safetensors", ...fields } });
const enlarged = (fields: JsonObject) => ({ upscale: { factor: 2, ...fields } });
const workflow = (fields: JsonObject) => ({ workflow: { json: "{}", ...fields } });
const template = (fields: JsonObject) => ({ template: { name: "upscale", ...fields } });

/** A field, and a change of `small` that breaks a rule of the schema for it; `undefined` removes. */
type Row = readonly [field: string, change: Readonly<Record<string, JsonObject[string] | undefined>>];

const nothing = { prompt: undefined, widthPx: undefined, heightPx: undefined, steps: undefined };

const schemaRows: readonly Row[] = [
  ["prompt", { prompt: undefined }],
  ["prompt", { prompt: " \t\u3000" }],
  ["prompt", { prompt: long(5_001) }],
  ["negative_prompt", { negativePrompt: long(2_001) }],
  ["model", { model: long(513) }],
  ["width_px", { widthPx: 56 }],
  ["width_px", { widthPx: 2_056 }],
  ["width_px", { widthPx: 100 }],
  ["height_px", { heightPx: 56 }],
  ["height_px", { heightPx: 2_056 }],
  ["height_px", { heightPx: 100 }],
  ["steps", { steps: 0 }],
  ["steps", { steps: 151 }],
  ["cfg", { cfg: 0.99 }],
  ["cfg", { cfg: 30.01 }],
  ["denoise", { denoise: -0.01 }],
  ["denoise", { denoise: 1.01 }],
  ["sampler", { sampler: long(129) }],
  ["scheduler", { scheduler: long(129) }],
  ["image_count", { imageCount: 0 }],
  ["image_count", { imageCount: 11 }],
  ["loras", { loras: Array(17).fill({ name: "demo-neon.safetensors" }) }],
  ["loras[1].name", lora({ name: "" })],
  ["loras[1].name", lora({ name: long(513) })],
  ["loras[1].model_strength", lora({ name: "x", modelStrength: 100.1 })],
  ["loras[1].model_strength", lora({ name: "x", modelStrength: -100.1 })],
  ["loras[1].clip_strength", lora({ name: "x", clipStrength: 100.1 })],
  ["loras[1].clip_strength", lora({ name: "x", clipStrength: -100.1 })],
  ["clip_skip", { clipSkip: 0 }],
  ["clip_skip", { clipSkip: 25 }],
  ["vae", { vae: long(513) }],
  ["preview.max_side_px", { preview: { maxSidePx: 15 } }],
  ["preview.max_side_px", { preview: { maxSidePx: 1_025 } }],
  ["preview.format", { preview: { format: "IMAGE_FORMAT_PNG" } }],
  ["output.format", { output: { format: 99 } }],
  ["output.quality", { output: { format: "IMAGE_FORMAT_WEBP", quality: 0 } }],
  ["output.quality", { output: { format: "IMAGE_FORMAT_WEBP", quality: 101 } }],
  ["output.quality", { output: { quality: 80 } }],
  ["output.inline_limit_bytes", { output: { inlineLimitBytes: 67_108_865 } }],
  ["output.metadata", { output: { metadata: 99 } }],
  ["output.thumbnail.max_side_px", { output: { thumbnail: { maxSidePx: 15 } } }],
  ["output.thumbnail.max_side_px", { output: { thumbnail: { maxSidePx: 1_025 } } }],
  ["output.thumbnail.format", { output: { thumbnail: { format: "IMAGE_FORMAT_AVIF" } } }],
  ["allow_reuse", { allowReuse: true }],

  ["image_to_image.image", drawnOver({ image: null })],
  ["image_to_image.image", drawnOver({ image: {} })],
  ["image_to_image.image.asset_id", drawnOver({ image: { assetId: "A".repeat(64) } })],
  ["image_to_image.image.data", drawnOver({ image: { data: "" } })],
  ["image_to_image.image.url", drawnOver({ image: { url: "" } })],
  ["image_to_image.image.url", drawnOver({ image: { url: `https://example.com/${long(2_048)}` } })],
  ["image_to_image.resize", drawnOver({ resize: 99 })],
  ["inpaint.image", inpaint({ image: null })],
  ["inpaint.mask", inpaint({ mask: {} })],
  ["inpaint.grow_px", inpaint({ growPx: 65 })],
  ["inpaint.feather_px", inpaint({ featherPx: 32 })],
  ["inpaint.method", inpaint({ method: 99 })],
  ["inpaint.resize", inpaint({ resize: 99 })],
  ["outpaint.image", { ...nothing, ...outpaint({ image: null }) }],
  ["outpaint.left_px", { ...nothing, ...outpaint({ leftPx: 2_049 }) }],
  ["outpaint.left_px", { ...nothing, ...outpaint({ leftPx: 0 }) }],
  ["outpaint.top_px", { ...nothing, ...outpaint({ topPx: 2_049 }) }],
  ["outpaint.right_px", { ...nothing, ...outpaint({ rightPx: 2_049 }) }],
  ["outpaint.bottom_px", { ...nothing, ...outpaint({ bottomPx: 2_049 }) }],
  ["outpaint.feather_px", { ...nothing, ...outpaint({ featherPx: 1_025 }) }],
  ["outpaint.method", { ...nothing, ...outpaint({ method: 99 }) }],
  ["outpaint", outpaint({})],

  ["hires.scale", { hires: { scale: 0.99 } }],
  ["hires.scale", { hires: { scale: 4.01 } }],
  ["hires.method", { hires: { method: 99 } }],
  ["hires.scaling", { hires: { scaling: "cubic" } }],
  ["hires.scaling", { hires: { scaling: "bislerp" } }],
  ["hires.scaling", { hires: { method: "HIRES_METHOD_LATENT", scaling: "lanczos" } }],
  ["hires.upscale_model", { hires: { upscaleModel: long(513) } }],
  ["hires.upscale_model", { hires: { method: "HIRES_METHOD_LATENT", upscaleModel: "x" } }],
  ["hires.steps", { hires: { steps: 0 } }],
  ["hires.steps", { hires: { steps: 151 } }],
  ["hires.denoise", { hires: { denoise: -0.01 } }],
  ["hires.denoise", { hires: { denoise: 1.01 } }],
  ["upscale.model", { upscale: {} }],
  ["upscale.model", enlarged({ model: long(513) })],
  ["upscale.factor", enlarged({ factor: 0.09 })],
  ["upscale.factor", enlarged({ factor: 8.01 })],
  ["upscale.factor", enlarged({ heightPx: 8 })],
  ["upscale.width_px", { upscale: { widthPx: 0 } }],
  ["upscale.width_px", { upscale: { widthPx: 16_385 } }],
  ["upscale.height_px", { upscale: { heightPx: 0 } }],
  ["upscale.height_px", { upscale: { heightPx: 16_385 } }],
  ["upscale.resize", enlarged({ resize: 99 })],
  ["upscale.scaling", enlarged({ scaling: "bislerp" })],
  ["upscale.image", { ...nothing, ...enlarged({ image: {} }) }],

  ["control_nets", { controlNets: Array(9).fill(control({}).controlNets[0]) }],
  ["control_nets[0].model", control({ model: "" })],
  ["control_nets[0].model", control({ model: long(513) })],
  ["control_nets[0].image", control({ image: null })],
  ["control_nets[0].strength", control({ strength: -0.01 })],
  ["control_nets[0].strength", control({ strength: 10.01 })],
  ["control_nets[0].start", control({ start: -0.01 })],
  ["control_nets[0].start", control({ start: 1.01 })],
  ["control_nets[0].end", control({ end: -0.01 })],
  ["control_nets[0].end", control({ end: 1.01 })],
  ["control_nets[0].end", control({ start: 0.5, end: 0.4 })],
  ["control_nets[0].preprocessor", control({ preprocessor: 99 })],

  ["refiner.model", refiner({ model: "" })],
  ["refiner.model", refiner({ model: long(513) })],
  ["refiner.switch_at", refiner({ switchAt: -0.01 })],
  ["refiner.switch_at", refiner({ switchAt: 1.01 })],
  ["refiner.aesthetic_score", refiner({ aestheticScore: -0.01 })],
  ["refiner.aesthetic_score", refiner({ aestheticScore: 1_000.1 })],
  ["model_files.family", files({ family: 0 })],
  ["model_files.family", files({ family: 99 })],
  ["model_files.diffusion_model", files({ diffusionModel: "" })],
  ["model_files.diffusion_model", files({ diffusionModel: long(513) })],
  ["model_files.text_encoders", files({ textEncoders: [] })],
  ["model_files.text_encoders", files({ textEncoders: Array(5).fill("x") })],
  ["model_files.text_encoders[1]", files({ textEncoders: ["x", ""] })],
  ["model_files.text_encoders[1]", files({ textEncoders: ["x", long(513)] })],
  ["model_files.weight_type", files({ weightType: 99 })],
  ["model_files.guidance", files({ guidance: -0.01 })],
  ["model_files.guidance", files({ guidance: 100.1 })],
  ["model_files.shift", files({ shift: -0.01 })],
  ["model_files.shift", files({ shift: 100.1 })],
  ["vae", { ...files({}), vae: "" }],
  ["model", { ...files({}), model: "demo-sd15.safetensors" }],
  ["refiner", { ...files({}), ...refiner({}) }],
  ["clip_skip", { ...files({}), clipSkip: 2 }],

  ["workflow.json", { ...nothing, ...workflow({ json: "" }) }],
  ["workflow.json", { ...nothing, ...workflow({ json: long(4_194_305) }) }],
  [
    "workflow.images",
    {
      ...nothing,
      ...workflow({ images: Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`${i}.x`, image])) }),
    },
  ],
  ['workflow.images["1."]', { ...nothing, ...workflow({ images: { "1.": image } }) }],
  [`workflow.images["${long(513)}"]`, { ...nothing, ...workflow({ images: { [long(513)]: image } }) }],
  ['workflow.images["1.image"]', { ...nothing, ...workflow({ images: { "1.image": {} } }) }],
  ["template.name", { ...nothing, ...template({ name: "Upscale" }) }],
  ["template.version", { ...nothing, ...template({ version: 0 }) }],
  ["template.alias", { ...nothing, ...template({ alias: "1" }) }],
  ["template", { ...nothing, ...workflow({}), ...template({}) }],
];

function changed(change: Row[1]): JsonObject {
  const entries = Object.entries({ ...small, ...change });
  return Object.fromEntries(entries.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}

describe("a field that breaks a rule of the schema is refused by its path:", () => {
  it.each(schemaRows.map(([field, change]) => [field, short(change), change] as const))(
    "%s of %s",
    async (field, _, change) => {
      await expectRefused(changed(change), { reason: "INVALID_FIELD", fields: [`spec.${field}`] });
    },
  );

  it.each<[text: string, change: Row[1]]>([
    [
      "spec.output.thumbnail.format: must be one of IMAGE_FORMAT_JPEG, IMAGE_FORMAT_WEBP",
      {
        output: { thumbnail: { format: "IMAGE_FORMAT_PNG" } },
      },
    ],
    [
      "spec.upscale.scaling: must be one of nearest-exact, bilinear, area, bicubic, lanczos",
      enlarged({ scaling: "x" }),
    ],
    ["spec.inpaint.resize: must be one of RESIZE_CROP, RESIZE_STRETCH", inpaint({ resize: 99 })],
    ["spec.inpaint.mask: give one of asset_id, data, url", inpaint({ mask: {} })],
    [
      "spec.inpaint.mask.asset_id: must be the id of an asset, 64 lowercase hexadecimal digits",
      inpaint({ mask: { assetId: "mask" } }),
    ],
  ])("in words: %s", async (message, change) => {
    await expectRefused(changed(change), { reason: "INVALID_FIELD", message });
  });

  it("and there is a case for each rule", () => {
    const validator = createValidator();
    const broken = schemaRows.flatMap(([, change]) => {
      const spec = fromJson(GenerationSpecSchema, changed(change));
      const result = validator.validate(GenerationSpecSchema, spec);
      const violations = result.kind === "invalid" ? result.violations : [];
      return violations.flatMap((violation) => ruleOf(violation, reflect(GenerationSpecSchema, spec)));
    });
    const rules = rulesBelow(GenerationSpecSchema);
    expect(rules.length).toBeGreaterThan(130);
    expect(rules.filter((rule) => !broken.includes(rule))).toEqual([]);
  });
});

function short(change: Row[1]): string {
  return JSON.stringify(change).slice(0, 80);
}

describe("what has no effect, or cannot be, beside something else is refused by its path:", () => {
  const everything = {
    ...{
      ...small,
      negativePrompt: "x",
      model: "x",
      cfg: 2,
      denoise: 1,
      sampler: "x",
      scheduler: "x",
      seed: "1",
    },
    ...{
      imageCount: 1,
      ...lora({ name: "x" }),
      clipSkip: 1,
      vae: "x",
      hires: {},
      ...control({}),
      ...refiner({}),
    },
  };
  const fields = [
    ...["prompt", "negative_prompt", "model", "width_px", "height_px", "steps", "cfg", "denoise", "sampler"],
    ...["scheduler", "seed", "image_count", "loras", "clip_skip", "vae", "hires"],
  ];

  it.each<[what: string, beside: JsonObject, fields: readonly string[]]>([
    ["a workflow", { ...workflow({}), ...enlarged({}) }, ["upscale", "control_nets", "refiner"]],
    ["a template", template({}), ["control_nets", "refiner"]],
    ["an image to enlarge", enlarged({ image }), ["control_nets", "refiner"]],
  ])("all that is for pictures, beside %s", async (_, beside, others) => {
    await expectRefused(
      { ...everything, ...beside },
      {
        reason: "INVALID_FIELD",
        fields: [...fields, ...others].map((field) => `spec.${field}`),
        message: expect.stringContaining("has no effect beside"),
      },
    );
  });

  it.each<[field: string, spec: JsonObject]>([
    ["image_to_image", { ...workflow({}), ...drawnOver({}) }],
    ["inpaint", { ...template({}), ...inpaint({}) }],
    ["outpaint", { ...enlarged({ image }), outpaint: { image, leftPx: 8 } }],
    ["model_files", { ...workflow({}), modelFiles: files({}).modelFiles, vae: "x" }],
  ])("%s of %j", async (field, spec) => {
    const expected = { reason: "INVALID_FIELD", fields: expect.arrayContaining([`spec.${field}`]) };
    await expectRefused(spec, expected);
  });

  it.each<[field: string, spec: () => JsonObject, advice: RegExp]>([
    ["hires", () => inpaint({ image: images.holed, mask: null }), /second pass draws the whole picture anew/],
    ["hires", () => ({ outpaint: { image: images.opaque, leftPx: 8 } }), /enlarge the picture by upscale/],
  ])("%s beside what keeps a part", async (field, spec, message) => {
    await expectRefused(
      { prompt: "x", hires: { scale: 1 }, ...spec() },
      { reason: "INVALID_FIELD", fields: [`spec.${field}`], message: expect.stringMatching(message) },
    );
  });

  it("a refiner beside an inpaint model", async () => {
    const method = "INPAINT_METHOD_MODEL";
    await expectRefused(
      { ...small, ...inpaint({ image: images.holed, mask: null, method }), ...refiner({}) },
      { reason: "INVALID_FIELD", fields: ["spec.refiner"] },
    );
  });

  it.each<[field: string, change: JsonObject, advice: RegExp]>([
    [
      "model_files.text_encoders",
      files({ textEncoders: ["demo-t5xxl.safetensors"] }),
      /has 2: CLIP-L, T5-XXL/,
    ],
    ["model_files.shift", files({ shift: 3 }), /leave it out/],
    [
      "model_files.guidance",
      files({
        ...{ family: "MODEL_FAMILY_Z_IMAGE", textEncoders: ["demo-qwen.safetensors"], guidance: 3 },
        diffusionModel: "demo-z-image.safetensors",
      }),
      /leave it out and use cfg/,
    ],
    [
      "width_px",
      {
        ...files({
          family: "MODEL_FAMILY_FLUX2",
          diffusionModel: "demo-flux2.safetensors",
          textEncoders: ["demo-mistral.safetensors"],
        }),
        widthPx: 72,
      },
      /multiple of 16/,
    ],
    ["output.ai_mark", { output: { aiMark: false } }, /marks every image/],
  ])("%s where it does not fit", async (field, change, advice) => {
    await expectRefused(
      { ...small, ...change },
      { reason: "INVALID_FIELD", fields: [`spec.${field}`], message: expect.stringMatching(advice) },
    );
  });
});

describe("a name that the backend does not have is refused by its path, with the nearest ones:", () => {
  it.each<[field: string, kind: string, change: JsonObject, nearest: string]>([
    ["model", "checkpoint", { model: "NAME" }, "demo-sd15.safetensors"],
    ["vae", "vae", { vae: "NAME" }, "demo-vae.safetensors"],
    ["loras[1].name", "lora", lora({ name: "NAME" }), "demo-neon.safetensors"],
    ["control_nets[0].model", "controlnet", control({ model: "NAME", image: {} }), "demo-canny.safetensors"],
    ["hires.upscale_model", "upscaler", { hires: { upscaleModel: "NAME" } }, "demo-upscale-2x.safetensors"],
    ["upscale.model", "upscaler", { upscale: { model: "NAME" } }, "demo-upscale-2x.safetensors"],
    ["refiner.model", "checkpoint", refiner({ model: "NAME" }), "demo-sdxl_refiner.safetensors"],
    [
      "model_files.diffusion_model",
      "diffusion_model",
      files({ diffusionModel: "NAME" }),
      "demo-flux.safetensors",
    ],
    [
      "model_files.text_encoders[1]",
      "text_encoder",
      files({ textEncoders: ["demo-clip_l.safetensors", "NAME"] }),
      "demo-t5xxl.safetensors",
    ],
  ])("%s, a %s", async (field, kind, change, nearest) => {
    const name = nearest.replace("demo-", "dema-");
    const text = JSON.stringify({ ...small, ...change }).replace("NAME", name);
    const spec: JsonObject = JSON.parse(
      text.replace('"image":{}', `"image":${JSON.stringify(images.opaque)}`),
    );
    const reason = { lora: "LORA_NOT_FOUND", vae: "VAE_NOT_FOUND" }[kind] ?? "MODEL_NOT_FOUND";
    await expectRefused(spec, {
      reason,
      fields: [`spec.${field}`],
      metadata: expect.objectContaining({ kind, name, nearest: expect.stringContaining(nearest) }),
      message: expect.stringContaining(nearest),
    });
  });

  it.each([
    ["sampler", "SAMPLER_NOT_FOUND", "eular", "euler"],
    ["scheduler", "SCHEDULER_NOT_FOUND", "kerras", "karras"],
  ])("%s", async (field, reason, name, nearest) => {
    await expectRefused(
      { ...small, [field]: name },
      { reason, fields: [`spec.${field}`], message: expect.stringContaining(nearest) },
    );
  });

  it("those of a spec all at once, under the reason of the first", async () => {
    const fields = ["model", "sampler", "loras[0].name", "hires.upscale_model", "refiner.model"];
    await expectRefused(
      {
        ...small,
        model: "x",
        sampler: "x",
        loras: [{ name: "x" }],
        hires: { upscaleModel: "x" },
        refiner: { model: "x" },
      },
      { reason: "MODEL_NOT_FOUND", fields: fields.map((field) => `spec.${field}`) },
    );
  });
});

describe("what is above the limits of the operator is refused by its path:", () => {
  it.each<[field: string, change: () => JsonObject]>([
    ["steps", () => ({ steps: 101 })],
    ["image_count", () => ({ imageCount: 5 })],
    ["width_px", () => ({ widthPx: 512, heightPx: 520 })],
    ["hires.steps", () => ({ hires: { steps: 101 } })],
    ["hires.scale", () => ({ widthPx: 512, heightPx: 512, hires: { scale: 1.5 } })],
    ["upscale.factor", () => ({ widthPx: 512, heightPx: 512, upscale: { factor: 4 } })],
    ["upscale.width_px", () => ({ upscale: { widthPx: 1_001 } })],
    ["upscale.height_px", () => ({ upscale: { heightPx: 1_001 } })],
    [
      "upscale.model",
      () => ({ widthPx: 512, heightPx: 512, upscale: { model: "demo-upscale-4x.safetensors" } }),
    ],
  ])("%s", async (field, change) => {
    await expectRefused(
      { ...small, ...change() },
      {
        reason: "INVALID_FIELD",
        fields: [`spec.${field}`],
        message: expect.stringMatching(/this server allows at most \d+/),
      },
    );
  });

  it("an outpainted picture", async () => {
    await expectRefused(
      { prompt: "x", outpaint: { image: images.opaque, leftPx: 1_920, bottomPx: 416 } },
      { reason: "INVALID_FIELD", fields: ["spec.outpaint"] },
    );
  });
});

describe("an image that cannot do what was asked is refused by its path:", () => {
  it.each<[what: string, field: string, reason: string, spec: () => JsonObject, advice: RegExp]>([
    [
      "an opaque image without a mask",
      "inpaint.mask",
      "INPUT_REJECTED",
      () => inpaint({ image: images.opaque, mask: null }),
      /give a mask, or make what is to be drawn transparent/,
    ],
    [
      "a mask of another size",
      "inpaint.mask",
      "INPUT_REJECTED",
      () => inpaint({ image: images.opaque, mask: images.square }),
      /has 64 x 64 pixels, and the image has 128 x 96: give a mask of the size of the image/,
    ],
    [
      "a mask that is no image",
      "inpaint.mask",
      "INPUT_REJECTED",
      () => inpaint({ image: images.opaque, mask: { data: Buffer.from("%PDF").toString("base64") } }),
      /PNG/,
    ],
    [
      "an address where none is fetched from",
      "control_nets[0].image",
      "INVALID_FIELD",
      () => control({ image: { url: "https://example.com/a.png" } }),
      /upload the image and name the asset/,
    ],
    [
      "an image that is too long to draw on beyond it",
      "outpaint",
      "INVALID_FIELD",
      () => ({ prompt: "x", outpaint: { image: images.thin, bottomPx: 1 } }),
      /no side may have more than 2048; extend it less/,
    ],
    [
      "a thin image that would become too long",
      "upscale.factor",
      "INVALID_FIELD",
      () => ({ upscale: { image: images.thin, factor: 8 } }),
      /no side may have more than 16384; enlarge it less/,
    ],
  ])("%s", async (_, field, reason, spec, advice) => {
    const part = spec();
    const isWhole = "upscale" in part || "outpaint" in part;
    await expectRefused(
      { ...(isWhole ? {} : small), ...part },
      { reason, fields: [`spec.${field}`], message: expect.stringMatching(advice) },
    );
  });

  it.each<[field: string, spec: JsonObject]>([
    ["image_to_image.image", { ...small, ...drawnOver({}) }],
    ["inpaint.image", { ...small, ...inpaint({}) }],
    ["outpaint.image", outpaint({})],
    ["control_nets[0].image", { ...small, ...control({}) }],
    ["upscale.image", enlarged({ image })],
    ['workflow.images["1.image"]', workflow({ images: { "1.image": image } })],
    ['template.parameters["image"]', template({ parameters: { image: { asset_id: image.assetId } } })],
  ])("%s, if there is no such asset", async (field, spec) => {
    const expected = { code: "NotFound", reason: "ASSET_NOT_FOUND", fields: [`spec.${field}`] };
    await expectRefused(spec, expected);
  });
});

describe("a workflow or a template of no use is refused by its path:", () => {
  const json = JSON.stringify({
    "1": { class_type: "LoadImage", inputs: { image: "a.png" } },
    "2": { class_type: "PreviewImage", inputs: { images: ["1", 0] } },
  });

  it.each<[field: string, code: string, reason: string, spec: () => JsonObject]>([
    ["workflow.json", "InvalidArgument", "WORKFLOW_INVALID", () => workflow({ json: "{" })],
    ["workflow.json", "InvalidArgument", "WORKFLOW_INVALID", () => workflow({ json: "{}" })],
    [
      "workflow.json",
      "InvalidArgument",
      "WORKFLOW_INVALID",
      () => workflow({ json: json.replace("Load", "Lode") }),
    ],
    [
      "workflow.json",
      "PermissionDenied",
      "NODE_NOT_ALLOWED",
      () => workflow({ json: json.replace("a.png", "../a.png") }),
    ],
    [
      'workflow.images["1.mask"]',
      "InvalidArgument",
      "INVALID_FIELD",
      () => workflow({ json, images: { "1.image": images.opaque, "1.mask": images.opaque } }),
    ],
    ["template.name", "NotFound", "TEMPLATE_NOT_FOUND", () => template({ name: "none-such" })],
    ["template.version", "NotFound", "TEMPLATE_NOT_FOUND", () => template({ version: 99 })],
    ["template.alias", "NotFound", "TEMPLATE_NOT_FOUND", () => template({ alias: "none" })],
    [
      'template.parameters["image"]',
      "InvalidArgument",
      "INVALID_FIELD",
      () => template({ parameters: { image: "a.png" } }),
    ],
  ])("%s: %s, %s", async (field, code, reason, spec) => {
    await expectRefused(spec(), { code, reason, fields: [`spec.${field}`] });
  });
});

/** The rules of a type of message and of all below it that are ours, each with what it is about. */
function rulesBelow(desc: DescMessage, seen = new Set<DescMessage>()): string[] {
  if (seen.has(desc) || !desc.typeName.startsWith("comfyrpc.")) {
    return [];
  }
  seen.add(desc);
  const own = hasOption(desc, messageRules) ? getOption(desc, messageRules).cel : [];
  const oneofs = desc.oneofs.filter((oneof) => getOption(oneof, oneofRules).required);
  return [
    ...own.map(({ id }) => id),
    ...oneofs.map((oneof) => `${oneof} required`),
    ...desc.fields.flatMap((field) => [
      ...(hasOption(field, fieldRules) ? rulesOf(field, getOption(field, fieldRules)) : []),
      ...(field.message === undefined ? [] : rulesBelow(field.message, seen)),
    ]),
  ];
}

function rulesOf(field: DescField, rules: FieldRules): string[] {
  const message = reflect(FieldRulesSchema, rules);
  const typed = message.fields.find((rule) => rule.oneof?.name === "type" && message.isSet(rule));
  const standard = typed?.fieldKind === "message" ? message.get(typed) : undefined;
  return [
    ...(rules.required ? [`${field} required`] : []),
    ...rules.cel.map(({ id }) => id),
    ...(standard?.fields ?? [])
      .filter((rule) => standard?.isSet(rule))
      .flatMap((rule) =>
        rule.fieldKind === "message"
          ? rulesOf(field, standard?.get(rule).message as FieldRules)
          : [`${field} ${typed?.name}.${rule.name}`],
      ),
  ];
}

/** What {@link rulesBelow} calls the rule that a spec breaks. */
function ruleOf({ ruleId, field: path }: Violation, spec: ReflectMessage): string[] {
  const about = path.findLast(({ kind }) => kind === "field" || kind === "oneof");
  const field = about?.kind === "field" ? about : undefined;
  const { type } = field && hasOption(field, fieldRules) ? getOption(field, fieldRules) : {};
  if (!ruleId.endsWith(".gte_lte") || (type?.case !== "uint32" && type?.case !== "double")) {
    return [ruleId, `${about} ${ruleId}`];
  }
  const isBelow = Number(valueAt(spec, path)) < Number(type.value.greaterThan.value);
  return [`${about} ${type.case}.${isBelow ? "gte" : "lte"}`];
}

function valueAt(spec: ReflectMessage, path: Path): unknown {
  return path.reduce<unknown>((value, part) => {
    switch (part.kind) {
      case "field":
        return (value as ReflectMessage).get(part);
      case "list_sub":
        return (value as ReflectList).get(part.index);
      default:
        throw new Error(`no number is at ${part.kind}`);
    }
  }, spec);
}
