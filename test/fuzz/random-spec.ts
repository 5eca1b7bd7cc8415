import { create, type JsonObject, type JsonValue, type MessageInitShape } from "@bufbuild/protobuf";
import { ControlNetPreprocessor } from "../../gen/comfyrpc/v1/control_net_pb.js";
import {
  type GenerationSpec,
  GenerationSpecSchema,
  ImageFormat,
  ImageMetadata,
} from "../../gen/comfyrpc/v1/generation_pb.js";
import { type ImageInput, type ImageInputSchema, Resize } from "../../gen/comfyrpc/v1/image_input_pb.js";
import { ModelFamily, WeightType } from "../../gen/comfyrpc/v1/model_files_pb.js";
import { InpaintMethod } from "../../gen/comfyrpc/v1/start_image_pb.js";
import { HiresMethod } from "../../gen/comfyrpc/v1/upscale_pb.js";
import type { TemplateRun } from "../../gen/comfyrpc/v1/workflow_source_pb.js";
import { modelFamilies } from "../../src/domain/resolve/model-families.ts";
import type { TemplateParameter } from "../../src/domain/template/workflow-template.ts";
import { writeJson } from "../../src/lib/lossless-json.ts";
import { defined } from "../../src/server/convert/defined.ts";
import { modelFamilies as familyNames } from "../../src/server/convert/task-enums.ts";
import type { TemplateRecord } from "../../src/storage/template-store.ts";
import { demoClasses } from "../support/demo-classes.ts";
import { demoCatalog, fuzzImages } from "./fuzz-inputs.ts";
import { mutateGraph } from "./mutate-graph.ts";
import { type DraftGraph, RandomGraphs } from "./random-graph.ts";
import type { Tape } from "./tape.ts";

type SpecInit = Exclude<MessageInitShape<typeof GenerationSpecSchema>, GenerationSpec>;
type ImageInit = Exclude<MessageInitShape<typeof ImageInputSchema>, ImageInput>;

/** Makes specs of every kind, most of which are good for the built-in engine. */
export class RandomSpecs {
  readonly #templates: readonly TemplateRecord[];
  readonly #graphs = new RandomGraphs(demoClasses);

  /** @param templates that specs may run */
  constructor(templates: readonly TemplateRecord[]) {
    this.#templates = templates;
  }

  next(tape: Tape): GenerationSpec {
    return create(GenerationSpecSchema, { ...this.#task(tape), ...surroundings(tape) });
  }

  #task(tape: Tape): SpecInit {
    switch (tape.below(8)) {
      case 5:
        return { upscale: { ...upscale(tape), image: image(tape) } };
      case 6:
        return this.#workflow(tape);
      case 7:
        return this.#template(tape);
      default:
        return picture(tape);
    }
  }

  #workflow(tape: Tape): SpecInit {
    const mutations = tape.below(3);
    const graph = this.#graphs.next(tape);
    for (let i = 0; i < mutations; i++) {
      mutateGraph(graph, demoClasses, tape);
    }
    return { workflow: { json: writeJson(graph), images: imagesFor(graph, tape) } };
  }

  #template(tape: Tape): SpecInit {
    const template = tape.pick(this.#templates);
    return {
      template: {
        name: template?.name ?? "none",
        revision: tape.pick(revisions),
        parameters: parametersOf(template?.parameters ?? [], tape),
      },
    };
  }
}

type Revision = TemplateRun["revision"];

const revisions: readonly [Revision, ...Revision[]] = [
  { case: undefined },
  { case: "version", value: 1 },
  { case: "alias", value: "production" },
  { case: "version", value: 2 },
];

function imagesFor(graph: DraftGraph, tape: Tape): Record<string, ImageInit> {
  const images: Record<string, ImageInit> = {};
  for (const [id, { class_type }] of Object.entries(graph)) {
    if (class_type.startsWith("LoadImage") && tape.below(2) === 1) {
      images[`${id}.image`] = image(tape);
    }
  }
  if (tape.below(16) === 15) {
    images[tape.pick(["1.nothing", "nowhere.image", "1.", "....", "3.seed"])] = image(tape);
  }
  return images;
}

function parametersOf(parameters: readonly TemplateParameter[], tape: Tape): JsonObject {
  return Object.fromEntries(
    parameters
      .filter(({ isRequired }) => isRequired || tape.below(2) === 1)
      .map((parameter) => [parameter.name, parameterValue(parameter, tape)]),
  );
}

function parameterValue({ type, min, max, step, choices }: TemplateParameter, tape: Tape): JsonValue {
  if (tape.below(32) === 31) {
    return tape.pick(oddJson);
  }
  switch (type) {
    case "string":
    case "text":
      return tape.pick(["a red fox", "ein „Fuchs“ 🦊", ""]);
    case "integer":
      return tape.pick([min, max].filter((bound) => bound !== undefined)) ?? step ?? 1;
    case "number":
      return tape.pick([min, max].filter((bound) => bound !== undefined)) ?? 0.5;
    case "boolean":
      return tape.below(2) === 1;
    case "choice":
      return String(tape.pick(choices) ?? tape.pick(everyName) ?? "");
    case "image":
      return { asset_id: tape.pick(fuzzImages)?.assetId ?? "" };
    case "seed":
      return tape.pick([0, 7, "18446744073709551615"]);
  }
}

const everyName = [...Object.values(demoCatalog.models).flat(), ...demoCatalog.samplers];

const oddJson: readonly [JsonValue, ...JsonValue[]] = [
  null,
  "",
  "x",
  " ",
  -1,
  0.5,
  1e300,
  2 ** 53,
  true,
  [],
  [1],
  {},
  { asset_id: "" },
  { asset_id: "a".repeat(64) },
  { data: "AA==" },
  { url: "https://example.com/a.png" },
  { data: "/w==", url: "x" },
  "99999999999999999999",
];

function picture(tape: Tape): SpecInit {
  const files = tape.below(4) === 3 ? modelFiles(tape) : undefined;
  const { models, samplers, schedulers } = demoCatalog;
  const start = startOf(tape);
  const isSized = start?.case !== "outpaint";
  const keepsPart = start?.case === "inpaint" || start?.case === "outpaint";
  return defined({
    prompt: tape.pick([
      "a red fox",
      "ein „Fuchs“ 🦊 im\n\tSchnee",
      "embedding:demo-autumn",
      '"\\'.repeat(2_500),
    ]),
    negativePrompt: tape.pick(["", "blurry", "x".repeat(2_000)]),
    model: files === undefined ? maybe(tape, models.checkpoint) : undefined,
    widthPx: isSized ? maybe(tape, sides) : undefined,
    heightPx: isSized ? maybe(tape, sides) : undefined,
    steps: maybe(tape, [1, 20, 150]),
    cfg: maybe(tape, [1, 7.5, 30]),
    denoise: maybe(tape, [0, 0.0001, 0.3, 0.5, 1]),
    sampler: maybe(tape, [...samplers, "euler_a", "dpm_plus_plus_2m"]),
    scheduler: maybe(tape, schedulers),
    seed: maybe(tape, [0n, 7n, 2n ** 53n, 2n ** 64n - 1n]),
    imageCount: maybe(tape, [1, 2, 10]),
    loras: several(tape, 3, () => ({
      name: tape.pick(models.lora) ?? "",
      ...defined({
        modelStrength: maybe(tape, [-100, 0, 1, 100]),
        clipStrength: maybe(tape, [-100, 0, 100]),
      }),
    })),
    clipSkip: files === undefined ? maybe(tape, [1, 2, 24]) : undefined,
    vae: files === undefined ? maybe(tape, models.vae) : models.vae[0],
    start,
    hires: tape.below(4) === 3 && !keepsPart ? hires(tape) : undefined,
    upscale: tape.below(4) === 3 ? upscale(tape) : undefined,
    controlNets: several(tape, 3, () => controlNet(tape)),
    refiner:
      tape.below(4) === 3 && files === undefined
        ? defined({
            model: tape.pick(models.checkpoint) ?? "",
            switchAt: maybe(tape, [0, 0.5, 1]),
            aestheticScore: maybe(tape, [0, 6, 1_000]),
          })
        : undefined,
    modelFiles: files,
  });
}

const sides = [512, 64, 520, 768, 1_024, 2_048];

function startOf(tape: Tape): SpecInit["start"] {
  const [resize, method] = [enumValue(tape, Resize), enumValue(tape, InpaintMethod)];
  switch (tape.below(6)) {
    case 3:
      return { case: "imageToImage", value: { image: image(tape), resize } };
    case 4: {
      const place = tape.below(fuzzImages.length);
      return {
        case: "inpaint",
        value: defined({
          image: imageAt(place),
          mask: tape.below(3) > 0 ? imageAt(place) : undefined,
          invertMask: tape.below(2) === 1,
          growPx: maybe(tape, [0, 1, 64]),
          featherPx: maybe(tape, [0, 1, 31]),
          method,
          keepUnmasked: maybe(tape, [true, false]),
          resize,
        }),
      };
    }
    case 5:
      return {
        case: "outpaint",
        value: defined({
          image: image(tape),
          leftPx: tape.pick([8, 0, 1, 512]),
          topPx: tape.pick([0, 1, 512, 2_047]),
          rightPx: tape.pick([0, 3, 1_024]),
          bottomPx: tape.pick([0, 7, 2_048]),
          featherPx: maybe(tape, [0, 1, 1_024]),
          method,
          keepOriginal: maybe(tape, [true, false]),
        }),
      };
    default:
      return undefined;
  }
}

function hires(tape: Tape) {
  const method = enumValue(tape, HiresMethod);
  const scalings = ["nearest-exact", "bilinear", "area", "bicubic"];
  return defined({
    method,
    scale: maybe(tape, [1, 1.01, 1.5, 4]),
    scaling: maybe(tape, [...scalings, method === HiresMethod.LATENT ? "bislerp" : "lanczos"]),
    upscaleModel: method === HiresMethod.LATENT ? undefined : maybe(tape, demoCatalog.models.upscaler),
    steps: maybe(tape, [1, 150]),
    denoise: maybe(tape, [0, 0.3, 1]),
  });
}

function upscale(tape: Tape) {
  const byFactor = tape.below(2) === 0;
  const model = tape.pick(["", ...demoCatalog.models.upscaler]);
  return defined({
    model,
    factor: byFactor ? tape.pick([2, 0.1, 1, 8]) : undefined,
    widthPx: byFactor ? undefined : tape.pick([1_000, 1, undefined, 16_384]),
    heightPx: byFactor ? undefined : tape.pick([undefined, 1, 777, 16_384]),
    resize: enumValue(tape, Resize),
    scaling: maybe(tape, ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]),
  });
}

function controlNet(tape: Tape) {
  return defined({
    model: tape.pick(demoCatalog.models.controlnet) ?? "",
    image: image(tape),
    strength: maybe(tape, [0, 1, 10]),
    start: maybe(tape, [0, 0.3]),
    end: maybe(tape, [0.3, 1]),
    preprocessor: enumValue(tape, ControlNetPreprocessor),
  });
}

function modelFiles(tape: Tape) {
  const family = enumValue(tape, ModelFamily);
  const traits = modelFamilies[familyNames.fromMessage(family) ?? "flux"];
  const { diffusionModel, textEncoder } = demoCatalog.models;
  return defined({
    family: family || ModelFamily.FLUX,
    diffusionModel: tape.pick(diffusionModel) ?? "",
    textEncoders: traits.encoders
      .slice(tape.below(traits.optionalEncoderCount + 1))
      .map(() => tape.pick(textEncoder) ?? ""),
    weightType: enumValue(tape, WeightType),
    guidance: traits.guidance === undefined ? undefined : maybe(tape, [0, 3.5, 100]),
    shift: traits.shift === undefined ? undefined : maybe(tape, [0, 3, 100]),
  });
}

/** What may stand beside any task. */
function surroundings(tape: Tape): SpecInit {
  const format = enumValue(tape, ImageFormat);
  const small = () => ({
    format: tape.pick([ImageFormat.UNSPECIFIED, ImageFormat.JPEG, ImageFormat.WEBP]),
    ...defined({ maxSidePx: maybe(tape, [16, 1_024]) }),
  });
  return defined({
    preview: tape.below(4) === 3 ? small() : undefined,
    output:
      tape.below(2) === 1
        ? defined({
            format,
            quality: format > ImageFormat.PNG ? maybe(tape, [1, 100]) : undefined,
            inlineLimitBytes: maybe(tape, [0, 67_108_864]),
            metadata: enumValue(tape, ImageMetadata),
            aiMark: maybe(tape, [true, false]),
            thumbnail: tape.below(4) === 3 ? small() : undefined,
          })
        : undefined,
    detach: tape.below(2) === 1,
  });
}

/** An image that is there, mostly. */
export function image(tape: Tape): ImageInit {
  switch (tape.below(32)) {
    case 28:
      return { source: { case: "data", value: Uint8Array.of(tape.below(fuzzImages.length)) } };
    case 29:
      return { source: { case: "data", value: Uint8Array.of(255) } };
    case 30:
      return { source: { case: "url", value: "https://example.com/a.png" } };
    case 31:
      return { source: { case: "assetId", value: "a".repeat(64) } };
    default:
      return imageAt(tape.below(fuzzImages.length));
  }
}

function imageAt(place: number): ImageInit {
  return { source: { case: "assetId", value: fuzzImages[place]?.assetId ?? "" } };
}

function maybe<T>(tape: Tape, values: readonly T[]): T | undefined {
  return tape.below(2) === 1 ? tape.pick(values) : undefined;
}

function several<T>(tape: Tape, most: number, make: () => T): T[] {
  return tape.below(2) === 1 ? Array.from({ length: tape.below(most + 1) }, make) : [];
}

function enumValue<Value extends number>(
  tape: Tape,
  values: Readonly<Record<string, string | Value>>,
): Value {
  const numbers = Object.values(values).filter((value): value is Value => typeof value === "number");
  return tape.pick(numbers) ?? (0 as Value);
}
