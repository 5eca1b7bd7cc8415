import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { systemClock } from "../lib/clock.ts";
import { openSqliteDatabase } from "../storage/sql/sqlite/open-sqlite.ts";
import type { TemplateStore } from "../storage/template-store.ts";
import { createLogger } from "../telemetry/logger.ts";
import { importTemplates } from "./import-templates.ts";
import { TemplateFileError } from "./template-file.ts";

const never = new AbortController().signal;
const limits = { maxBytes: 1_000_000, maxNodes: 100 };
const shipped = join(import.meta.dirname, "../../templates");

const workflow = { "1": { class_type: "KSampler", inputs: { seed: 1, steps: 20 } } };
const steps = { name: "steps", type: "integer", targets: [{ node_id: "1", input_name: "steps" }] };

describe("importTemplates", () => {
  it("registers what comes with the service, and makes no other versions the next time", async () => {
    await using stage = await openStage();
    const made = await importTemplates(shipped, "", stage.store, limits, never);
    expect(made.map(({ name, version }) => [name, version])).toEqual([
      ["flux-dev", 1],
      ["image-to-image", 1],
      ["inpaint", 1],
      ["sdxl-base-refiner", 1],
      ["text-to-image", 1],
      ["upscale", 1],
    ]);
    expect(await importTemplates(shipped, "", stage.store, limits, never)).toEqual([]);
  });

  it("makes the next version of a file that has changed", async () => {
    await using stage = await openStage();
    await stage.write("a.json", { name: "a", workflow, parameters: [steps] });
    await stage.write("notes.txt", "not a template");
    await stage.import();
    await stage.write("a.json", { name: "a", workflow, parameters: [{ ...steps, max: 50 }] });
    expect(await stage.import()).toMatchObject([
      { name: "a", version: 2, parameters: [{ name: "steps", default: 20, max: 50 }] },
    ]);
  });

  it("proposes parameters for a file without any", async () => {
    await using stage = await openStage();
    await stage.write("a.json", { name: "a", workflow });
    expect((await stage.import())[0]?.parameters.map(({ name }) => name)).toEqual(["steps", "seed"]);
  });

  it("keeps every digit of a file", async () => {
    await using stage = await openStage();
    const seeded = `{"name":"a","workflow":{"1":{"class_type":"KSampler","inputs":{"seed":18446744073709551615}}},
      "parameters":[{"name":"seed","type":"integer","targets":[{"node_id":"1","input_name":"seed"}]}]}`;
    await stage.write("a.json", seeded);
    expect((await stage.import())[0]?.parameters[0]?.default).toBe(2n ** 64n - 1n);
  });

  it.each<[text: RegExp, file: unknown]>([
    [/b\.json cannot be used: it is not JSON/, "{"],
    [/b\.json cannot be used: name: must be 1 to 63 lowercase/, { name: "No", workflow }],
    [/b\.json cannot be used: workflow: /, { name: "b" }],
    [/Unrecognized key: "colour"/, { name: "b", workflow, colour: 1 }],
    [/parameters\.0\.type: /, { name: "b", workflow, parameters: [{ ...steps, type: "int" }] }],
    [
      /parameters\[0\]\.targets\[0\]\.node_id: the workflow has no node "2"/,
      { name: "b", workflow, parameters: [{ ...steps, targets: [{ node_id: "2", input_name: "x" }] }] },
    ],
    [/workflow: node "1" has no "class_type"/, { name: "b", workflow: { "1": { inputs: {} } } }],
    [/export it there by "Export \(API\)"/, { name: "b", workflow: { nodes: [], links: [] } }],
    [/a\.json and b\.json in .* both register a/, { name: "a", workflow }],
  ])("says %s, and registers nothing", async (text, file) => {
    await using stage = await openStage();
    await stage.write("a.json", { name: "a", workflow });
    await stage.write("b.json", file);
    const failure = await stage.import().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(TemplateFileError);
    expect(failure).toMatchObject({ message: expect.stringMatching(text) });
    expect(await stage.store.list("", undefined, 10, never)).toEqual([]);
  });
});

interface Stage extends AsyncDisposable {
  readonly store: TemplateStore;
  write(name: string, content: unknown): Promise<void>;
  import(): ReturnType<typeof importTemplates>;
}

async function openStage(): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const directory = stack.use(await mkdtempDisposable(join(tmpdir(), "comfyrpc-test-")));
  const deps = { clock: systemClock, logger: createLogger({ level: "silent" }) };
  const database = stack.use(await openSqliteDatabase(join(directory.path, "data"), deps));
  const owned = stack.move();
  return {
    store: database.templates,
    write: (name, content) =>
      writeFile(join(directory.path, name), typeof content === "string" ? content : JSON.stringify(content)),
    import: () => importTemplates(directory.path, "", database.templates, limits, never),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
