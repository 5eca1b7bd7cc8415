import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { ModelKind, NodeClassSchema } from "../../../gen/comfyrpc/v1/catalog_pb.js";
import type {
  ListModelsRequest,
  ListNodeClassesRequest,
} from "../../../gen/comfyrpc/v1/catalog_service_pb.js";
import { AiMarkRule } from "../../../gen/comfyrpc/v1/server_info_pb.js";
import { onStage } from "../testing/on-stage.ts";
import { runCli } from "../testing/run-cli.ts";

describe("models", () => {
  it("shows a table of all pages", async () => {
    const requests: ListModelsRequest[] = [];
    const listModels = (request: ListModelsRequest) => {
      requests.push(request);
      return request.pageToken === ""
        ? {
            models: [{ kind: ModelKind.CHECKPOINT, name: "sd15.safetensors", backends: ["a", "b"] }],
            nextPageToken: "more",
          }
        : { models: [{ kind: ModelKind.DIFFUSION_MODEL, name: "flux", backends: ["b"] }] };
    };
    await onStage({ listModels }, async ({ run }) => {
      expect(await run(["models"])).toEqual({
        exitCode: 0,
        out: [
          "KIND             NAME              BACKENDS",
          "checkpoint       sd15.safetensors  a, b",
          "diffusion-model  flux              b",
          "",
        ].join("\n"),
        err: "",
      });
      expect(requests.map(({ pageToken }) => pageToken)).toEqual(["", "more"]);
    });
  });

  it("sends every condition, and writes JSON lines", async () => {
    const requests: ListModelsRequest[] = [];
    const listModels = (request: ListModelsRequest) => {
      requests.push(request);
      return { models: [{ kind: ModelKind.LORA, name: "xl\u001b[2J", backends: ["a"] }] };
    };
    await onStage({ listModels }, async ({ run }) => {
      const { out } = await run("models xl --kind lora --kind Text-Encoder --backend a --json".split(" "));
      expect(JSON.parse(out)).toEqual({ kind: "MODEL_KIND_LORA", name: "xl\u001b[2J", backends: ["a"] });
      expect(requests[0]).toMatchObject({
        kinds: [ModelKind.LORA, ModelKind.TEXT_ENCODER],
        nameContains: "xl",
        backend: "a",
      });
      expect((await run(["models"])).out).not.toContain("\u001b");
    });
  });

  it("says that there are none, and what is wrong", async () => {
    await onStage({ listModels: () => ({}) }, async ({ run }) => {
      expect(await run(["models", "x"])).toEqual({ exitCode: 0, out: "", err: "no such models\n" });
      expect(await run(["models", "x", "--json"])).toEqual({ exitCode: 0, out: "", err: "" });
    });
    const { exitCode, err } = await runCli(["models", "--kind", "unet"]);
    expect(exitCode).toBe(2);
    expect(err).toContain("diffusion-model");
  });
});

it("samplers are shown with the other names that they have", async () => {
  const samplers = [
    { name: "euler", backends: ["a"] },
    { name: "dpmpp_2s_ancestral", aliases: ["x", "y"], backends: ["a", "b"] },
  ];
  await onStage({ listSamplers: () => ({ samplers }) }, async ({ run }) => {
    expect((await run(["samplers"])).out.split("\n")).toEqual([
      "NAME                ALSO  BACKENDS",
      "euler                     a",
      "dpmpp_2s_ancestral  x, y  a, b",
      "",
    ]);
  });
});

it.each([
  ["samplers", "NAME   ALSO  BACKENDS\neuler        a, b\n"],
  ["schedulers", "NAME   BACKENDS\neuler  a, b\n"],
])("%s are listed", async (what, table) => {
  const asked: string[] = [];
  const list = ({ backend }: { readonly backend: string }) => {
    asked.push(backend);
    return { [what]: [{ name: "euler", backends: ["a", "b"] }] };
  };
  await onStage({ listSamplers: list, listSchedulers: list }, async ({ run }) => {
    expect((await run([what])).out).toBe(table);
    const { out } = await run([what, "--json", "--backend", "b"]);
    expect(JSON.parse(out)).toMatchObject({ name: "euler", backends: ["a", "b"] });
    expect(asked).toEqual(["", "b"]);
  });
});

const sampler = create(NodeClassSchema, {
  name: "KSampler",
  displayName: "Sampler",
  description: "Denoises\na latent.",
  category: "sampling",
  deprecated: true,
  backends: ["a", "b"],
  differs: true,
  inputs: [
    { name: "model", type: "MODEL", required: true },
    { name: "seed", type: "INT", required: true, defaultJson: "0", min: "0", max: "18446744073709551615" },
    { name: "sampler_name", type: "COMBO", required: true, choices: ["euler", "ddim"] },
    { name: "denoise", type: "FLOAT", defaultJson: "1", min: "0", step: "0.01" },
  ],
  outputs: [
    { name: "LATENT", type: "LATENT" },
    { name: "tiles", type: "IMAGE", list: true },
  ],
});

describe("nodes", () => {
  it("shows a class with its inputs and outputs", async () => {
    await onStage({ getNodeClass: () => ({ nodeClass: sampler }) }, async ({ run }) => {
      expect((await run(["nodes", "KSampler"])).out.split("\n")).toEqual([
        "KSampler: Sampler (sampling, deprecated)",
        "Denoises",
        "a latent.",
        "backends: a, b; as a has it, others differ",
        "",
        "INPUT         TYPE             DEFAULT  VALUES",
        "model         MODEL",
        "seed          INT              0        from 0 to 18446744073709551615",
        "sampler_name  COMBO                     2: euler, ddim",
        "denoise       FLOAT, optional  1        from 0, step 0.01",
        "",
        "OUTPUT  TYPE",
        "LATENT  LATENT",
        "tiles   list of IMAGE",
        "",
      ]);
      const { out } = await run(["nodes", "KSampler", "--json"]);
      expect(JSON.parse(out)).toMatchObject({
        name: "KSampler",
        inputs: [{}, { max: "18446744073709551615" }, {}, {}],
      });
    });
  });

  it("lists the classes whose name contains the text if none is called so", async () => {
    const requests: ListNodeClassesRequest[] = [];
    const listNodeClasses = (request: ListNodeClassesRequest) => {
      requests.push(request);
      return { nodeClasses: [{ name: "ImageScale", category: "image/upscaling", backends: ["a"] }] };
    };
    const getNodeClass = () => {
      throw new ConnectError("there is none", Code.NotFound);
    };
    await onStage({ listNodeClasses, getNodeClass }, async ({ run }) => {
      const { exitCode, out, err } = await run(["nodes", "scale", "--backend", "a"]);
      expect({ exitCode, err }).toEqual({ exitCode: 0, err: "" });
      expect(out).toBe("NAME        CATEGORY         BACKENDS\nImageScale  image/upscaling  a\n");
      expect(requests[0]).toMatchObject({ nameContains: "scale", category: "", backend: "a" });
    });
  });

  it("lists without asking for a class where there is no text, or a category", async () => {
    const requests: ListNodeClassesRequest[] = [];
    const listNodeClasses = (request: ListNodeClassesRequest) => {
      requests.push(request);
      return {};
    };
    await onStage({ listNodeClasses }, async ({ run }) => {
      expect(await run(["nodes"])).toEqual({ exitCode: 0, out: "", err: "no such node classes\n" });
      await run(["nodes", "KSampler", "--category", "sampling"]);
      expect(requests.map(({ nameContains, category }) => [nameContains, category])).toEqual([
        ["", ""],
        ["KSampler", "sampling"],
      ]);
    });
  });

  it("reports why the service could not answer", async () => {
    const getNodeClass = () => {
      throw new ConnectError("no backend is up", Code.Unavailable);
    };
    await onStage({ getNodeClass }, async ({ run }) => {
      expect((await run(["nodes", "KSampler"])).exitCode).toBe(3);
    });
  });
});

describe("info", () => {
  const serverInfo = {
    version: "1.2.3",
    apiVersion: "v1",
    backends: [
      { name: "a", comfyuiVersion: "0.3.64" },
      { name: "b", builtIn: true, comfyuiVersion: "0.33.0" },
      { name: "c" },
    ],
    limits: {
      maxPixels: 4_194_304n,
      maxSteps: 150,
      maxImageCount: 10,
      maxBatchJobCount: 10,
      maxUploadBytes: 20_971_520n,
      maxUploadPixels: 67_108_864n,
      maxRequestBytes: 33_554_432n,
      defaultInlineLimitBytes: 3_670_016,
      maxInlineLimitBytes: 67_108_864,
      defaultRetention: { seconds: 86_400n },
      maxRetention: { seconds: 2_592_000n },
      maxQueuedJobCount: 1_000,
      maxQueueTime: { seconds: 3_600n },
      maxRunTime: { seconds: 600n },
      maxUpscaledPixels: 33_554_432n,
      maxWorkflowNodeCount: 2_000,
      maxWorkflowBytes: 4_194_304n,
      maxOutputBytes: 1_073_741_824n,
      maxInputPixels: 67_108_864n,
    },
    features: { aiMark: AiMarkRule.REQUIRED },
    workflowRules: { deniedNodeClasses: ["Train*", "ModelSave"] },
  };

  it("shows what the service is and allows", async () => {
    await onStage({ getServerInfo: () => ({ serverInfo }) }, async ({ run }) => {
      expect((await run(["info"])).out.split("\n")).toEqual([
        "version        1.2.3, API v1",
        "backend        a, ComfyUI 0.3.64",
        "backend        b, built-in engine",
        "backend        c, not reached yet",
        "default model  the first that the backends list",
        "picture        up to 4194304 pixels, 150 steps",
        "enlarged       up to 33554432 pixels",
        "workflow       up to 2000 nodes, 4.0 MiB",
        "its outputs    up to 1024.0 MiB each",
        "input image    up to 67108864 pixels",
        "request        up to 10 images, 32.0 MiB",
        "batch          up to 10 jobs",
        "upload         up to 20.0 MiB, 67108864 pixels",
        "inline images  3.5 MiB, on request up to 64.0 MiB",
        "kept for       24h00m, on request up to 30d00h",
        "queue          up to 1000 jobs, 1h00m",
        "run            up to 10m00s",
        "links          signed ones, and plain ones",
        "images by URL  off",
        "mark of AI     always",
        "allowed nodes  all that are not denied",
        "denied nodes   Train*, ModelSave",
        "node files     in the directories of the backend",
        "",
      ]);
      const { out } = await run(["info", "--json"]);
      expect(JSON.parse(out)).toMatchObject({ version: "1.2.3", limits: { maxSteps: 150 } });
    });
  });

  it("does not take an empty answer for one", async () => {
    await onStage({ getServerInfo: () => ({}) }, async ({ run }) => {
      expect(await run(["info"])).toMatchObject({ exitCode: 1, err: expect.stringContaining("nothing") });
    });
  });
});
