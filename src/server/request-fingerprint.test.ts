import { create, fromBinary, fromJson, type MessageInitShape, toBinary, toJson } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { GenerateRequestSchema, ImageService } from "../../gen/comfyrpc/v1/image_service_pb.js";
import {
  JobService,
  type SubmitJobRequest,
  SubmitJobRequestSchema,
} from "../../gen/comfyrpc/v1/job_service_pb.js";
import { fingerprintOf } from "./request-fingerprint.ts";

const { submitJob } = JobService.method;

function build(init: MessageInitShape<typeof SubmitJobRequestSchema>): SubmitJobRequest {
  return create(SubmitJobRequestSchema, init);
}

function fingerprint(request: SubmitJobRequest): string {
  return fingerprintOf(submitJob, request);
}

const text = fc.string({ unit: "binary", maxLength: 20 });
const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });

/** Requests of every shape; whether the rules of the schema allow them does not matter here. */
const anyRequest = fc
  .record({
    requestId: text,
    spec: optional(
      fc.record(
        {
          prompt: text,
          negativePrompt: text,
          widthPx: uint32,
          cfg: fc.double(),
          seed: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
          loras: fc.array(fc.record({ name: text, modelStrength: fc.double() }, { requiredKeys: ["name"] }), {
            maxLength: 3,
          }),
          preview: fc.record({ maxSidePx: uint32 }, { requiredKeys: [] }),
          output: fc.record({ quality: uint32, aiMark: fc.boolean() }, { requiredKeys: [] }),
          detach: fc.boolean(),
        },
        { requiredKeys: [] },
      ),
    ),
    options: optional(
      fc.record({
        labels: fc.dictionary(text, text, { maxKeys: 5 }),
        note: text,
        retention: fc.record({ seconds: fc.bigInt({ min: 60n, max: 2_592_000n }) }),
      }),
    ),
  })
  .map((init) => build(init as MessageInitShape<typeof SubmitJobRequestSchema>));

describe("fingerprintOf", () => {
  it("does not depend on how a request came, nor on its request_id", () => {
    fc.assert(
      fc.property(anyRequest, text, (request, requestId) => {
        const expected = fingerprint(request);
        const { labels = {} } = request.options ?? {};
        const reordered = Object.fromEntries(Object.entries(labels).reverse());
        const binary = fromBinary(SubmitJobRequestSchema, toBinary(SubmitJobRequestSchema, request));
        const json = fromJson(SubmitJobRequestSchema, toJson(SubmitJobRequestSchema, request));
        const verbose = fromJson(
          SubmitJobRequestSchema,
          toJson(SubmitJobRequestSchema, request, { alwaysEmitImplicit: true, useProtoFieldName: true }),
        );
        const renamed = { ...request, requestId };
        const shuffled = {
          ...request,
          ...(request.options && { options: { ...request.options, labels: reordered } }),
        };
        for (const same of [binary, json, verbose, renamed, shuffled]) {
          expect(fingerprint(same)).toBe(expected);
        }
      }),
    );
  });

  it("differs where a request says something else", () => {
    fc.assert(
      fc.property(anyRequest, anyRequest, (a, b) => {
        const said = (request: SubmitJobRequest) =>
          JSON.stringify(toJson(SubmitJobRequestSchema, sorted({ ...request, requestId: "" })));
        fc.pre(said(a) !== said(b));
        expect(fingerprint(a)).not.toBe(fingerprint(b));
      }),
    );
  });

  it.each<[string, MessageInitShape<typeof SubmitJobRequestSchema>]>([
    ["the last bit of a seed", { spec: { prompt: "fox", seed: 2n ** 64n - 2n } }],
    [
      "a default that is written out where that can be told",
      { spec: { prompt: "fox", seed: 2n ** 64n - 1n, steps: 20 } },
    ],
    ["a label", { spec: { prompt: "fox", seed: 2n ** 64n - 1n }, options: { labels: { a: "" } } }],
    ["previews", { spec: { prompt: "fox", seed: 2n ** 64n - 1n, preview: {} } }],
  ])("differs by %s", (_, init) => {
    const request = build({ spec: { prompt: "fox", seed: 2n ** 64n - 1n } });
    expect(fingerprint(build(init))).not.toBe(fingerprint(request));
  });

  it.each([10, 100_000])("differs by a bit of an image of %i bytes inside", (sizeBytes) => {
    const over = (data: Uint8Array) => {
      const image = { source: { case: "data", value: data } } as const;
      return build({ spec: { prompt: "fox", start: { case: "imageToImage", value: { image } } } });
    };
    const [data, other] = [Buffer.alloc(sizeBytes), Buffer.alloc(sizeBytes)];
    expect(fingerprint(over(data))).toBe(fingerprint(over(other)));
    other[sizeBytes - 1] = 1;
    expect(fingerprint(over(data))).not.toBe(fingerprint(over(other)));
  });

  it("differs from one method to another", () => {
    const init = { spec: { prompt: "fox" } };
    const generated = fingerprintOf(ImageService.method.generate, create(GenerateRequestSchema, init));
    expect(generated).not.toBe(fingerprint(build(init)));
  });

  it("stays what it is: it is kept with the jobs", () => {
    const request = build({
      requestId: "order-17",
      spec: { prompt: "a red fox", seed: 7n, loras: [{ name: "ink" }] },
      options: { labels: { b: "2", a: "1" } },
    });
    expect(fingerprint(request)).toBe("9e0a2b110344e1dd1936ddfa564707a404fffdef1567a118483a7259dba43349");
  });
});

function sorted(request: SubmitJobRequest): SubmitJobRequest {
  const entries = Object.entries(request.options?.labels ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return request.options === undefined
    ? request
    : { ...request, options: { ...request.options, labels: Object.fromEntries(entries) } };
}
