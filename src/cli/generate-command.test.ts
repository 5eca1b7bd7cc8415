import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { type GenerationSpec, ImageFormat, ImageMetadata } from "../../gen/comfyrpc/v1/generation_pb.js";
import type {
  GenerateWithProgressRequest,
  GenerateWithProgressResponse,
  ImageService,
} from "../../gen/comfyrpc/v1/image_service_pb.js";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { type CapturedIo, captureIo } from "./testing/capture-io.ts";
import { type CliOutcome, runCli } from "./testing/run-cli.ts";
import { completedEvent, imageOf, jobEvents, staged, workEvents } from "./testing/staged-events.ts";
import { startStagedService } from "./testing/staged-service.ts";
import { createTemporaryDirectory, type TemporaryDirectory } from "./testing/temporary-directory.ts";

type GenerateWithProgress = ServiceImpl<typeof ImageService>["generateWithProgress"];

const picture = Buffer.from("not really a picture");

interface Stage {
  readonly directory: TemporaryDirectory;
  /** Runs `comfyrpc generate "a red fox"` with `args`, into the directory. */
  generate(args?: readonly string[], io?: CapturedIo, signal?: AbortSignal): Promise<CliOutcome>;
}

/** A service that answers as `generateWithProgress` does, and a directory to save into. */
async function onStage(
  generateWithProgress: GenerateWithProgress,
  act: (stage: Stage) => Promise<void>,
): Promise<void> {
  await using directory = await createTemporaryDirectory();
  await using service = await startStagedService({ generateWithProgress });
  await act({
    directory,
    generate: async (args = [], io = captureIo(), signal = AbortSignal.timeout(20_000)) => {
      const flags = ["--server", service.address, "--out", directory.path, ...args];
      const outcome = await runCli(["generate", "a red fox", ...flags], { io, signal });
      await service.idle(AbortSignal.timeout(10_000));
      return outcome;
    },
  });
}

function playing(events: readonly GenerateWithProgressResponse[]): GenerateWithProgress {
  return async function* () {
    yield* events;
  };
}

/** Announces an image of `size` bytes and sends it in chunks of 100,000 bytes, each changed by `alter`. */
function chunkedEvents(
  size: number,
  alter = (chunk: { offset: bigint; data: Uint8Array }) => chunk,
): GenerateWithProgressResponse[] {
  const data = Buffer.alloc(size, "abcdefg");
  const image = imageOf(data, { data: new Uint8Array() });
  const chunks = Array.from({ length: Math.ceil(size / 100_000) }, (_, index) => {
    const offset = index * 100_000;
    return alter({ offset: BigInt(offset), data: data.subarray(offset, offset + 100_000) });
  });
  return [
    ...workEvents(),
    staged({ case: "image", value: { image, chunked: true } }),
    ...chunks.map((chunk) => staged({ case: "imageChunk", value: { imageIndex: 0, ...chunk } })),
    completedEvent([image]),
  ];
}

describe("generate", () => {
  it("saves the image, prints its path alone on stdout, and says on stderr what was made", async () => {
    await onStage(playing(jobEvents(picture)), async ({ directory, generate }) => {
      const { exitCode, out, err } = await generate();
      expect(exitCode).toBe(0);
      expect(out).toBe(`${join(directory.path, "a-red-fox-42.png")}\n`);
      expect(await readFile(out.trim())).toEqual(picture);
      expect(err).toContain("512x512, seed 42, model dream.safetensors\n");
      expect(err).toContain("on gpu-a (ComfyUI 0.4.1) in 12s, 1.2s of it in the queue\n");
      expect(err).not.toContain("built-in");
      expect(await directory.list()).toEqual(["a-red-fox-42.png"]);
    });
  });

  it("says plainly that the built-in engine is no diffusion model", async () => {
    await onStage(playing(jobEvents(picture, true)), async ({ generate }) => {
      const { err } = await generate();
      expect(err).toContain(
        "drawn by the built-in engine, not by a diffusion model: set COMFYUI_URL to use ComfyUI\n",
      );
    });
  });

  it("says whose images were used again", async () => {
    const events = jobEvents(picture);
    const end = events.at(-1)?.event?.event;
    if (end?.case === "completed" && end.value.result) end.value.result.reusedJobId = "77aa";
    await onStage(playing(events), async ({ generate }) => {
      expect((await generate()).err).toContain("\nby job 77aa, whose images were used again\n");
    });
  });

  it("sends every option to the service", async () => {
    const specs: (GenerationSpec | undefined)[] = [];
    const record: GenerateWithProgress = async function* ({ spec }) {
      specs.push(spec);
      yield* jobEvents(picture);
    };
    await onStage(record, async ({ generate }) => {
      const flags =
        "--negative mud --model m.safetensors --size 768x512 --steps 30 --cfg 6.5 --denoise 0.9 --sampler ddim " +
        "--scheduler karras --seed 18446744073709551615 --count 3 --lora a:0.5 --lora b:1:-2 --clip-skip 2 " +
        "--vae v.pt --preview-size 256 --preview-format webp --format webp --quality 80 --inline-limit 64KiB " +
        "--strip-metadata --detach --reuse";
      const { exitCode, err } = await generate(flags.split(" "));
      expect(exitCode, err).toBe(0);
      expect(specs[0]).toMatchObject({
        prompt: "a red fox",
        negativePrompt: "mud",
        model: "m.safetensors",
        widthPx: 768,
        heightPx: 512,
        steps: 30,
        cfg: 6.5,
        denoise: 0.9,
        sampler: "ddim",
        scheduler: "karras",
        seed: 18446744073709551615n,
        imageCount: 3,
        loras: [
          { name: "a", modelStrength: 0.5 },
          { name: "b", modelStrength: 1, clipStrength: -2 },
        ],
        clipSkip: 2,
        vae: "v.pt",
        preview: { maxSidePx: 256, format: ImageFormat.WEBP },
        output: {
          format: ImageFormat.WEBP,
          quality: 80,
          inlineLimitBytes: 65536,
          metadata: ImageMetadata.STRIP,
        },
        detach: true,
        allowReuse: true,
      });
    });
  });

  it("sends what is about the job", async () => {
    const requests: GenerateWithProgressRequest[] = [];
    const record: GenerateWithProgress = async function* (request) {
      requests.push(request);
      yield* jobEvents(picture);
    };
    await onStage(record, async ({ generate }) => {
      const flags = "--request-id order-42 -l team=web --label draft= --note why --retention 90m";
      await generate(flags.split(" "));
      await generate();
      expect(requests[0]).toMatchObject({
        requestId: "order-42",
        options: { labels: { team: "web", draft: "" }, note: "why", retention: { seconds: 5400n } },
      });
      expect(requests[1]?.requestId).toBe("");
      expect(requests[1]?.options).toBeUndefined();
    });
  });

  it("leaves every default to the service", async () => {
    const specs: (GenerationSpec | undefined)[] = [];
    const record: GenerateWithProgress = async function* ({ spec }) {
      specs.push(spec);
      yield* jobEvents(picture);
    };
    await onStage(record, async ({ generate }) => {
      await generate();
      const { $typeName: _, ...fields } = specs[0] ?? { $typeName: "" };
      const set = Object.entries(fields).filter(([, value]) => value !== "" && value !== undefined);
      expect(set).toEqual([
        ["prompt", "a red fox"],
        ["loras", []],
        ["detach", false],
        ["allowReuse", false],
        ["start", { case: undefined }],
        ["controlNets", []],
      ]);
    });
  });

  it("saves previews beside the images", async () => {
    const preview = (text: string) =>
      staged({
        case: "preview",
        value: { data: Buffer.from(text), format: ImageFormat.JPEG, imageIndex: 0 },
      });
    const events = [...workEvents(), preview("one"), preview("two"), ...jobEvents(picture).slice(-2)];
    await onStage(playing(events), async ({ directory, generate }) => {
      const { out, err } = await generate(["--preview"]);
      expect(out.trim().split("\n")).toHaveLength(1);
      expect(err).toContain("2 previews in ");
      expect(await directory.list()).toEqual([
        "a-red-fox-42.png",
        "previews",
        "previews/a-red-fox-42-preview-001.jpg",
        "previews/a-red-fox-42-preview-002.jpg",
      ]);
    });
  });
});

describe("progress", () => {
  it("is a few whole lines where there is no terminal", async () => {
    await onStage(playing(jobEvents(picture)), async ({ generate }) => {
      const { err } = await generate();
      const [queued, started, ...rest] = err.split("\n");
      expect(queued).toMatch(/^Queued, 2 jobs ahead {2}\ds$/);
      expect(started).toMatch(/^0% {2}Starting on gpu-a {2}\ds$/);
      expect(rest).toHaveLength(3);
      expect(err).not.toContain("\u001b");
    });
  });

  it.each([40, 80, 120])("is one line of a terminal with %i columns, cleared at the end", async (columns) => {
    const io = captureIo({ columns });
    const waitForBar: GenerateWithProgress = async function* () {
      yield* workEvents();
      await io.errHas("step 10/20", AbortSignal.timeout(10_000));
      yield* jobEvents(picture).slice(-2);
    };
    await onStage(waitForBar, async ({ generate }) => {
      const { err, exitCode } = await generate([], io);
      expect(exitCode).toBe(0);
      const [drawn = "", after] = err.split("\u001b8");
      // What is left between the movements of the cursor is what was drawn.
      // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what is looked for
      const lines = drawn.split(/\u001b(?:\[[0-9;]*[A-Za-z]|7)/).filter((line) => line !== "");
      expect(lines.some((line) => /47% {2}.*step 10\/20 {2}\ds {2}ETA \ds/.test(line))).toBe(true);
      expect(lines.every((line) => [...line].length < columns && !line.includes("\n"))).toBe(true);
      expect(lines.some((line) => line.includes("█"))).toBe(columns >= 50);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: as above
      expect(after).toMatch(/^\u001b\[1G\u001b\[2K512x512/);
    });
  });

  it("is left out by --quiet, and so is the summary", async () => {
    await onStage(playing(jobEvents(picture)), async ({ generate }) => {
      const { out, err } = await generate(["--quiet"], captureIo({ columns: 80 }));
      expect(out).toMatch(/a-red-fox-42\.png\n$/);
      expect(err).toBe("");
    });
  });
});

describe("--json", () => {
  it("writes each event without bytes, and files and result last", async () => {
    await onStage(playing(chunkedEvents(250_000)), async ({ directory, generate }) => {
      const { out, err } = await generate(["--json"], captureIo({ columns: 80 }));
      const lines = out
        .trim()
        .split("\n")
        .map((line): Record<string, unknown> => JSON.parse(line));
      expect(lines.map((line) => Object.keys(line).at(-1))).toEqual([
        "accepted",
        "queued",
        "started",
        "nodeStarted",
        "progress",
        "image",
        "completed",
        "result",
      ]);
      expect(lines.at(1)).toMatchObject({ queued: { jobsAhead: 2, attempt: 1 } });
      expect(lines.at(-1)).toMatchObject({
        files: [join(directory.path, "a-red-fox-42.png")],
        result: { images: [{ seed: "42" }], backend: { name: "gpu-a", builtIn: false } },
      });
      expect(out).not.toContain('"data"');
      expect(err).toBe("");
    });
  });

  it("ends with the error when there is one", async () => {
    const fail: GenerateWithProgress = () => {
      throw new ConnectError("no such model", Code.InvalidArgument, undefined, [
        { desc: ErrorInfoSchema, value: { reason: "MODEL_NOT_FOUND", metadata: { name: "x" } } },
      ]);
    };
    await onStage(fail, async ({ generate }) => {
      const { out, exitCode } = await generate(["--json"]);
      expect(exitCode).toBe(2);
      expect(JSON.parse(out)).toEqual({
        error: {
          code: "INVALID_ARGUMENT",
          reason: "MODEL_NOT_FOUND",
          message: "no such model",
          metadata: { name: "x" },
        },
      });
    });
  });
});

describe("images in chunks", () => {
  it("are put together", async () => {
    await onStage(playing(chunkedEvents(1_234_567)), async ({ generate }) => {
      const { out, exitCode } = await generate();
      expect(exitCode).toBe(0);
      expect(await readFile(out.trim())).toEqual(Buffer.alloc(1_234_567, "abcdefg"));
    });
  });

  it.each([
    ["a part is missing", (events: GenerateWithProgressResponse[]) => events.toSpliced(6, 1), /out of order/],
    [
      "the end is missing",
      (events: GenerateWithProgressResponse[]) => events.toSpliced(-2, 1),
      /200000 bytes of/,
    ],
    [
      "a byte is wrong",
      () => chunkedEvents(250_000, ({ offset, data }) => ({ offset, data: Buffer.alloc(data.length, "x") })),
      /SHA-256/,
    ],
  ])("are refused, and leave no file, when %s", async (_, spoil, message) => {
    await onStage(playing(spoil(chunkedEvents(250_000))), async ({ directory, generate }) => {
      const { out, err, exitCode } = await generate();
      expect(exitCode).toBe(1);
      expect(err).toMatch(message);
      expect(out).toBe("");
      expect(await directory.list()).toEqual([]);
    });
  });

  it("are refused when the stream ends well in the middle", async () => {
    await onStage(playing(chunkedEvents(250_000).slice(0, -2)), async ({ directory, generate }) => {
      const { err, exitCode } = await generate();
      expect(exitCode).toBe(1);
      expect(err).toContain("without a result");
      expect(await directory.list()).toEqual([]);
    });
  });
});

describe("files that exist", () => {
  it("stay, and new ones in the same directory get a number", async () => {
    await onStage(playing(jobEvents(picture)), async ({ directory, generate }) => {
      await generate();
      const { out } = await generate();
      expect(out).toBe(`${join(directory.path, "a-red-fox-42-2.png")}\n`);
      expect(await directory.list()).toEqual(["a-red-fox-42-2.png", "a-red-fox-42.png"]);
    });
  });

  it("are refused before anything is drawn when the user named them, unless --overwrite is given", async () => {
    let callCount = 0;
    const count: GenerateWithProgress = async function* () {
      callCount++;
      yield* jobEvents(picture);
    };
    await onStage(count, async ({ directory, generate }) => {
      const path = join(directory.path, "fox.png");
      await writeFile(path, "precious");
      const refused = await generate(["--out", path]);
      expect(refused).toMatchObject({ exitCode: 2, out: "" });
      expect(refused.err).toContain("fox.png exists; choose another name");
      expect(await readFile(path, "utf8")).toBe("precious");
      expect(callCount).toBe(0);

      expect((await generate(["--out", path, "--overwrite"])).exitCode).toBe(0);
      expect(await readFile(path)).toEqual(picture);
    });
  });

  it("are an error when they stand where a directory is needed", async () => {
    await onStage(playing(jobEvents(picture)), async ({ directory, generate }) => {
      await writeFile(join(directory.path, "taken"), "");
      const { err, exitCode } = await generate(["--out", join(directory.path, "taken")]);
      expect(exitCode).toBe(1);
      expect(err).toMatch(/^error: EEXIST/m);
    });
  });
});

describe("failures", () => {
  it("are told with reason, fields and time to try again", async () => {
    const fail: GenerateWithProgress = () => {
      throw new ConnectError("too wide, and busy", Code.InvalidArgument, undefined, [
        { desc: ErrorInfoSchema, value: { reason: "INVALID_FIELD" } },
        {
          desc: BadRequestSchema,
          value: { fieldViolations: [{ field: "spec.width_px", description: "≤ 2048" }] },
        },
        { desc: RetryInfoSchema, value: { retryDelay: durationFromMs(3_000) } },
      ]);
    };
    await onStage(fail, async ({ directory, generate }) => {
      const { out, err, exitCode } = await generate(["--width", "4096"]);
      expect({ out, err, exitCode }).toEqual({
        out: "",
        err: "error: INVALID_FIELD: too wide, and busy\n  spec.width_px (--width): ≤ 2048\n  try again in 3s\n",
        exitCode: 2,
      });
      expect(await directory.list()).toEqual([]);
    });
  });

  it.each([
    [Code.Unavailable, 3],
    [Code.DeadlineExceeded, 4],
    [Code.ResourceExhausted, 5],
    [Code.FailedPrecondition, 1],
    [Code.NotFound, 6],
    [Code.Internal, 1],
    [Code.Canceled, 1],
  ])("with status %i end with %i", async (code, expected) => {
    const fail: GenerateWithProgress = async function* () {
      yield* workEvents();
      throw new ConnectError("no", code, undefined, [{ desc: ErrorInfoSchema, value: { reason: "SOME" } }]);
    };
    await onStage(fail, async ({ generate }) => {
      const { exitCode, err } = await generate();
      expect(exitCode).toBe(expected);
      expect(err).toContain("error: SOME: no\n");
    });
  });

  it("keep the images that were whole, and name them", async () => {
    const events = jobEvents(picture).slice(0, -1);
    const fail: GenerateWithProgress = async function* () {
      yield* events;
      throw new ConnectError("lost", Code.Unavailable, undefined, [
        { desc: ErrorInfoSchema, value: { reason: "BACKEND_LOST" } },
      ]);
    };
    await onStage(fail, async ({ directory, generate }) => {
      const { err } = await generate(["--count", "2"]);
      expect(err).toContain(`finished before that: ${join(directory.path, "a-red-fox-42.png")}\n`);
    });
  });

  it("end with 4 when --timeout is over", async () => {
    const hang: GenerateWithProgress = async function* (_, { signal }) {
      yield* workEvents();
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    };
    await onStage(hang, async ({ generate }) => {
      const { exitCode, err } = await generate(["--timeout", "0.3"]);
      expect(exitCode).toBe(4);
      expect(err).toContain("DEADLINE_EXCEEDED");
    });
  });

  it("say how to start a service when none is there", async () => {
    const gone = await startStagedService({});
    await gone[Symbol.asyncDispose]();
    const { exitCode, err } = await runCli(["generate", "a red fox", "--server", gone.address]);
    expect(exitCode).toBe(3);
    expect(err).toContain(
      `error: cannot reach the service at ${gone.address}; start it with \`comfyrpc serve\`\n  connect ECONNREFUSED`,
    );
  });
});

describe("Ctrl-C", () => {
  it("cancels the call, removes what is half written, and ends with 130", async () => {
    const cancelled = Promise.withResolvers<void>();
    const abort = new AbortController();
    const hang: GenerateWithProgress = async function* (_, { signal }) {
      signal.addEventListener("abort", () => cancelled.resolve());
      // All but the last chunk and the result.
      yield* chunkedEvents(250_000).slice(0, -2);
      await cancelled.promise;
    };
    await onStage(hang, async ({ directory, generate }) => {
      const io = captureIo({ columns: 80 });
      const run = generate([], io, abort.signal);
      await io.errHas("Receiving image 1", AbortSignal.timeout(10_000));
      abort.abort();
      const { exitCode, out, err } = await run;
      expect(exitCode).toBe(130);
      expect(out).toBe("");
      expect(err).toMatch(/cancelled; the service stops the work\n$/);
      expect(await directory.list()).toEqual([]);
      await cancelled.promise;
    });
  });

  it.each([
    [["--detach"], /^stopped waiting; the job goes on, to see it:\n {2}comfyrpc jobs watch 0b5c\n$/m],
    [["--request-id", "r1"], /^cancelled; the service stops the work unless you come back soon\n$/m],
  ])("with %j says what becomes of the job", async (flags, message) => {
    const abort = new AbortController();
    const hang: GenerateWithProgress = async function* (_, { signal }) {
      yield* workEvents();
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    };
    await onStage(hang, async ({ generate }) => {
      const io = captureIo();
      const run = generate(flags, io, abort.signal);
      await io.errHas("Starting on gpu-a", AbortSignal.timeout(10_000));
      abort.abort();
      const { exitCode, err } = await run;
      expect(exitCode).toBe(130);
      expect(err).toMatch(message);
    });
  });

  it("is no failure for --json either, but said", async () => {
    const abort = new AbortController();
    const hang: GenerateWithProgress = async function* (_, { signal }) {
      yield* workEvents();
      abort.abort();
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    };
    await onStage(hang, async ({ generate }) => {
      const { exitCode, out } = await generate(["--json"], captureIo(), abort.signal);
      expect(exitCode).toBe(130);
      expect(out.trim().split("\n").at(-1)).toContain('"code":"CANCELLED"');
    });
  });
});

describe("wrong usage", () => {
  it.each([
    [["--size", "big"], /WIDTHxHEIGHT/],
    [["--size", "8x8", "--width", "8"], /cannot be used with option '--width/],
    [["--seed", "1.5"], /whole number from 0 to 18446744073709551615/],
    [["--lora", ":1"], /NAME:0\.8/],
    [["--format", "gif"], /Allowed choices are png, jpeg, webp, avif/],
    [["--format", "png", "--out", "fox.jpg"], /--format png contradicts --out fox\.jpg/],
    [["--out", "fox.gif"], /cannot make \.gif/],
    [["--server", "ftp://x"], /ftp:\/\/ is not spoken/],
    [["--label", "team"], /Write it as name=value/],
    [["--retention", "3"], /Write it as 90s, 15m, 1h30m or 7d/],
    [["--ca", "no-such-file.pem"], /--ca: cannot read no-such-file\.pem/],
    [["--stepz", "3"], /Did you mean --steps/],
    [["two"], /too many arguments/],
  ])("%j ends with 2 and says what is wrong", async (args, message) => {
    const { exitCode, err, out } = await runCli(["generate", "a red fox", ...args]);
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: "" });
    expect(err).toMatch(message);
  });

  it("includes a missing prompt", async () => {
    const { exitCode, err } = await runCli(["generate"]);
    expect(exitCode).toBe(2);
    expect(err).toContain("missing required argument 'prompt'");
  });
});

describe("help", () => {
  it("fits into 80 columns, and has examples and the exit codes", async () => {
    const { exitCode, out } = await runCli(["generate", "--help"]);
    expect(exitCode).toBe(0);
    expect(out).toContain('comfyrpc generate "a red fox in the snow"');
    expect(out).toContain("130  cancelled with Ctrl-C");
    for (const line of out.split("\n")) expect(line.length, line).toBeLessThanOrEqual(80);
  });

  it("lists the commands, and prints the version", async () => {
    const help = await runCli(["--help"]);
    expect(help.exitCode).toBe(0);
    expect(help.out).toMatch(
      /generate .*draw images.*\n.*upscale .*\n.*submit .*\n(.*\n)*.*assets .*\n(.*\n)*.*health /,
    );
    expect(await runCli(["--version"])).toMatchObject({ exitCode: 0, out: "1.2.3\n" });
    expect((await runCli(["draw"])).exitCode).toBe(2);
  });
});

it("runs in plain Node, whose imports are stricter than those of the test runner", async () => {
  const program = new URL("./testing/run-cli.ts", import.meta.url).href;
  const script = `import { runCli } from ${JSON.stringify(program)}; process.stdout.write((await runCli(["--version"])).out)`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script]);
  expect(stdout).toBe("1.2.3\n");
});

it("makes the directories of --out when the first image is there, not before", async () => {
  const fail: GenerateWithProgress = async function* () {
    yield* workEvents();
    throw new ConnectError("no", Code.Internal);
  };
  await onStage(fail, async ({ directory, generate }) => {
    await mkdir(join(directory.path, "here"));
    await generate(["--out", join(directory.path, "here", "and", "there")]);
    expect(await directory.list()).toEqual(["here"]);
  });
});
