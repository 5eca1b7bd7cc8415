import { describe, expect, it } from "vitest";
import { createLogger } from "../../telemetry/logger.ts";
import { CatalogReader } from "./catalog.ts";
import { NoAnswerError } from "./client.ts";
import { ScriptedClient } from "./testing/scripted-client.ts";

/** What servers say of their classes: choices in place of the type, or under `options`. */
const classes: Readonly<Record<string, unknown>> = {
  CheckpointLoaderSimple: {
    input: { required: { ckpt_name: [["a.safetensors", "sub/b.safetensors"], {}] } },
  },
  LoraLoader: {
    input: { required: { lora_name: ["COMBO", { options: ["l.safetensors"], multiselect: false }] } },
  },
  UpscaleModelLoader: { input: { required: { model_name: ["COMBO", { options: ["4x.pth"] }] } } },
  UNETLoader: { input: { required: { unet_name: [["flux.safetensors"]] } } },
  CLIPLoader: { input: { required: { clip_name: [["clip_l.safetensors", "t5.safetensors"]] } } },
  KSampler: {
    input: {
      required: { sampler_name: [["euler"]], seed: ["INT", { max: 18446744073709551615n }] },
      optional: { scheduler: ["COMBO", { remote: { route: "/x" } }] },
    },
  },
};

function setUp() {
  const client = new ScriptedClient();
  const asked: string[] = [];
  client.nodeClass = async (classType?: string) => {
    if (!client.reachable) {
      throw new NoAnswerError("refused", { sent: false });
    }
    asked.push(classType ?? "");
    return classes[classType ?? ""];
  };
  client.embeddings = async () => ["easynegative"];
  const logger = createLogger({ level: "silent" });
  let passedMs = 0;
  const nowMs = () => passedMs;
  return {
    client,
    asked,
    reader: new CatalogReader({ client, logger, lifetime: soon(), nowMs }),
    passTime(timeMs: number): void {
      passedMs += timeMs;
    },
  };
}

function soon(): AbortSignal {
  return AbortSignal.timeout(5_000);
}

/** Classes that are asked for: a loader for each kind of model but embeddings, and the sampler. */
const classCount = 8;

const expected = {
  models: {
    checkpoint: ["a.safetensors", "sub/b.safetensors"],
    lora: ["l.safetensors"],
    vae: [],
    controlnet: [],
    upscaler: ["4x.pth"],
    diffusionModel: ["flux.safetensors"],
    textEncoder: ["clip_l.safetensors", "t5.safetensors"],
    embedding: ["easynegative"],
  },
  samplers: ["euler"],
  schedulers: [],
};

describe("CatalogReader", () => {
  it("reads choices in both shapes, and none where a class or its choices are missing", async () => {
    const { reader } = setUp();
    expect(await reader.catalog(0, soon())).toEqual(expected);
  });

  it("asks once for many who ask at the same time, and again only when its copy is too old", async () => {
    const { asked, reader } = setUp();
    await Promise.all(Array.from({ length: 20 }, () => reader.catalog(0, soon())));
    expect(asked).toHaveLength(classCount);
    await reader.catalog(60_000, soon());
    expect(asked).toHaveLength(classCount);
    await reader.catalog(0, soon());
    expect(asked).toHaveLength(2 * classCount);
  });

  it("serves what it remembers while the backend is away, and says so if it remembers nothing", async () => {
    const { client, reader } = setUp();
    client.reachable = false;
    await expect(reader.catalog(0, soon())).rejects.toMatchObject({ reason: "NO_BACKEND" });
    client.reachable = true;
    await reader.catalog(0, soon());
    client.reachable = false;
    expect(await reader.catalog(0, soon())).toEqual(expected);
  });

  it("lets one caller leave without disturbing the others", async () => {
    const { client, reader } = setUp();
    const gate = Promise.withResolvers<void>();
    const answer = client.nodeClass;
    client.nodeClass = async (...args) => {
      await gate.promise;
      return await answer(...args);
    };
    const leaver = new AbortController();
    const left = reader.catalog(0, leaver.signal);
    const stayed = reader.catalog(0, soon());
    leaver.abort(new Error("left"));
    await expect(left).rejects.toThrow("left");
    gate.resolve();
    expect(await stayed).toEqual(expected);
  });

  it("reads again behind the answer once half of the age has passed", async () => {
    const { asked, reader, passTime } = setUp();
    await reader.catalog(60_000, soon());
    passTime(29_000);
    await reader.catalog(60_000, soon());
    expect(asked).toHaveLength(classCount);
    passTime(2_000);
    expect(await reader.catalog(60_000, soon())).toEqual(expected);
    expect(asked).toHaveLength(2 * classCount);
  });

  it("reads the names of what may be another server before anybody asks, and serves the old ones meanwhile", async () => {
    const { client, asked, reader } = setUp();
    reader.reset();
    expect(asked).toHaveLength(classCount);
    await reader.catalog(60_000, soon());
    expect(asked).toHaveLength(classCount);
    const answer = client.nodeClass;
    const gate = Promise.withResolvers<void>();
    client.nodeClass = async (...args) => {
      await gate.promise;
      return await answer(...args);
    };
    reader.reset();
    expect(await reader.catalog(60_000, soon())).toEqual(expected);
    client.nodeClass = answer;
    gate.resolve();
  });

  it("does not fail when what is read in the background cannot be had", async () => {
    const { client, reader } = setUp();
    client.reachable = false;
    reader.reset();
    await expect(reader.catalog(60_000, soon())).rejects.toMatchObject({ reason: "NO_BACKEND" });
  });

  it("forgets the sizes of another server, also those that come late", async () => {
    const { client, reader } = setUp();
    const late = Promise.withResolvers<unknown>();
    client.modelMetadata = () => late.promise;
    const ofOldServer = reader.nativeSize("a.safetensors", soon());
    reader.reset();
    late.resolve({});
    expect(await ofOldServer).toBeUndefined();
    client.modelMetadata = async () => ({ "modelspec.resolution": "1024x1024" });
    expect(await reader.nativeSize("a.safetensors", soon())).toEqual({ widthPx: 1_024, heightPx: 1_024 });
  });

  it.each([
    [{ "modelspec.resolution": "1024x1024" }, { widthPx: 1024, heightPx: 1024 }],
    [{ "modelspec.resolution": "768x512" }, { widthPx: 768, heightPx: 512 }],
    [{ "modelspec.resolution": "large" }, undefined],
    [{ "modelspec.resolution": 1024 }, undefined],
    [{}, undefined],
    [undefined, undefined],
  ])("reads the native size out of %j", async (metadata, size) => {
    const { client, reader } = setUp();
    client.modelMetadata = async () => metadata;
    expect(await reader.nativeSize("a.safetensors", soon())).toEqual(size);
  });

  it("remembers sizes, and that there is none, but not that the backend was away", async () => {
    const { client, reader } = setUp();
    let asked = 0;
    client.modelMetadata = async () => {
      if (++asked === 1) {
        throw new NoAnswerError("refused", { sent: false });
      }
      return {};
    };
    for (let time = 0; time < 4; time++) {
      expect(await reader.nativeSize("a.safetensors", soon())).toBeUndefined();
    }
    expect(asked).toBe(2);
  });
});
