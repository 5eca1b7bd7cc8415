import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { SubmitBatchRequestSchema } from "../../gen/comfyrpc/v1/job_service_pb.js";
import { ServiceError } from "../domain/errors.ts";
import { expandBatch } from "./expand-batch.ts";
import { createMessageRules } from "./message-rules.ts";

type Grid = Extract<
  NonNullable<MessageInitShape<typeof SubmitBatchRequestSchema>["source"]>,
  { case: "grid" }
>["value"];

const rules = createMessageRules();

function entriesOf(grid: Grid, limit = 100) {
  return expandBatch(
    create(SubmitBatchRequestSchema, { source: { case: "grid", value: grid } }),
    limit,
    rules,
  );
}

function expand(grid: Grid, limit = 100) {
  return entriesOf(grid, limit).map(({ spec }) => spec);
}

function violationsOf(grid: Grid, limit?: number): Record<string, string> {
  try {
    expand(grid, limit);
  } catch (error) {
    expect(error).toBeInstanceOf(ServiceError);
    const { reason, details } = error as ServiceError;
    expect(reason).toBe("INVALID_FIELD");
    return Object.fromEntries((details.violations ?? []).map((one) => [one.field, one.description]));
  }
  throw new Error("the grid was taken");
}

describe("a grid", () => {
  it("is one job if it has no values", () => {
    const specs = expand({ base: { prompt: "fox", steps: 3 } });
    expect(specs).toMatchObject([{ prompt: "fox", steps: 3 }]);
  });

  it("comes in the order of nested loops, prompts outermost and seeds innermost", () => {
    const specs = expand({
      base: { prompt: "ignored", negativePrompt: "blur", seed: 99n, loras: [{ name: "ink" }] },
      prompts: ["fox", "owl"],
      samplers: ["euler", ""],
      cfgs: [1, 30],
      steps: [1, 150],
      seeds: [0n, 2n ** 64n - 1n],
    });
    expect(specs).toHaveLength(32);
    const order = specs.map(({ prompt, sampler, cfg, steps, seed }) =>
      [prompt, sampler, cfg, steps, seed].join(" "),
    );
    expect(order.slice(0, 5)).toEqual([
      "fox euler 1 1 0",
      "fox euler 1 1 18446744073709551615",
      "fox euler 1 150 0",
      "fox euler 1 150 18446744073709551615",
      "fox euler 30 1 0",
    ]);
    expect(order[8]).toBe("fox  1 1 0");
    expect(order[16]).toBe("owl euler 1 1 0");
    expect(new Set(order).size).toBe(32);
    expect(
      specs.every(({ negativePrompt, loras }) => negativePrompt === "blur" && loras[0]?.name === "ink"),
    ).toBe(true);
  });

  it("knows where in the request each field of each job was written", () => {
    const entries = entriesOf({ base: { prompt: "fox" }, samplers: ["euler", "heun"], seeds: [1n, 2n] });
    expect(entries.map(({ pathOf }) => [pathOf("sampler"), pathOf("loras[0].name")])).toEqual([
      ["grid.samplers[0]", "grid.base.loras[0].name"],
      ["grid.samplers[0]", "grid.base.loras[0].name"],
      ["grid.samplers[1]", "grid.base.loras[0].name"],
      ["grid.samplers[1]", "grid.base.loras[0].name"],
    ]);
  });

  it("may be as large as the limit, and not one job larger", () => {
    expect(expand({ base: { prompt: "fox" }, seeds: [1n, 2n, 3n] }, 3)).toHaveLength(3);
    expect(violationsOf({ base: { prompt: "fox" }, seeds: [1n, 2n, 3n], steps: [1, 2] }, 5)).toEqual({
      grid: "comes to 6 jobs; this server allows at most 5 in a batch",
    });
  });

  it("is refused before it is made if it is huge", () => {
    const prompts = Array.from({ length: 1_000 }, () => "fox");
    const values = Array.from({ length: 1_000 }, () => 1);
    const seeds = values.map(BigInt);
    const grid = { base: { prompt: "" }, prompts, samplers: prompts, cfgs: values, steps: values, seeds };
    expect(violationsOf(grid)).toEqual({
      grid: "comes to 1000000000000000 jobs; this server allows at most 100 in a batch",
    });
  });

  it("names what is wrong where the caller wrote it, once each", () => {
    expect(
      violationsOf({
        base: { prompt: "", widthPx: 65, loras: [{ name: "" }] },
        prompts: ["fox", " ", "owl"],
        steps: [20, 151],
        cfgs: [0.5],
      }),
    ).toEqual({
      "grid.prompts[1]": "must contain something other than white space",
      "grid.steps[1]": expect.any(String),
      "grid.cfgs[0]": expect.any(String),
      "grid.base.width_px": "must be a multiple of 8",
      "grid.base.loras[0].name": expect.any(String),
    });
  });

  it("holds the images of its base once, however many jobs it comes to", () => {
    const data = Buffer.from("a large picture");
    const start = {
      case: "imageToImage",
      value: { image: { source: { case: "data", value: data } } },
    } as const;
    const specs = expand({ base: { prompt: "fox", start }, seeds: [1n, 2n, 3n] });
    expect(specs.map(({ seed }) => seed)).toEqual([1n, 2n, 3n]);
    for (const { start: started } of specs) {
      expect(started.case === "imageToImage" && started.value.image?.source.value).toBe(data);
    }
  });

  it("takes no value from the base that it has values for, and checks the others there", () => {
    expect(expand({ base: { prompt: "", steps: 9_999 }, prompts: ["fox"], steps: [4] })).toHaveLength(1);
    expect(violationsOf({ base: { prompt: "", steps: 9_999 } })).toEqual({
      "grid.base.prompt": expect.any(String),
      "grid.base.steps": expect.any(String),
    });
  });

  it("may be answered from earlier jobs only with seeds", () => {
    expect(expand({ base: { prompt: "fox", allowReuse: true }, seeds: [1n] })).toHaveLength(1);
    expect(violationsOf({ base: { prompt: "fox", allowReuse: true } })).toEqual({
      "grid.base.allow_reuse": expect.stringContaining("needs a seed"),
    });
  });

  it("needs a base", () => {
    expect(violationsOf({ prompts: ["fox"] })).toEqual({ "grid.base": "value is required" });
  });
});

describe("a list of specs", () => {
  const list = (count: number) =>
    create(SubmitBatchRequestSchema, {
      source: { case: "specs", value: { specs: Array.from({ length: count }, () => ({ prompt: "fox" })) } },
    });

  it("comes as it is", () => {
    expect(expandBatch(list(3), 3, rules)).toHaveLength(3);
  });

  it("is refused above the limit", () => {
    expect(() => expandBatch(list(4), 3, rules)).toThrow("specs.specs: comes to 4 jobs");
  });
});

it("a batch of nothing is refused", () => {
  expect(() => expandBatch(create(SubmitBatchRequestSchema), 3, rules)).toThrow("source");
});
