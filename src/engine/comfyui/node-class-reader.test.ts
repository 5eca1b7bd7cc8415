import { describe, expect, it } from "vitest";
import { createLogger } from "../../telemetry/logger.ts";
import { NodeClassReader } from "./node-class-reader.ts";
import { ScriptedClient } from "./testing/scripted-client.ts";

const bare = '{"input": {"required": {"x": ["FLOAT", {"max": Infinity, "default": NaN}]}}, "output": []}';

function setUp() {
  const client = new ScriptedClient();
  const texts = [`{"A": ${bare}}`];
  let reads = 0;
  client.nodeClasses = async () => {
    reads++;
    const text = texts.length > 1 ? texts.shift() : texts[0];
    return text ?? "";
  };
  const logger = createLogger({ level: "silent" });
  return {
    client,
    texts,
    reads: () => reads,
    reader: new NodeClassReader({ client, logger, lifetime: soon(), nowMs: () => 0 }),
  };
}

function soon(): AbortSignal {
  return AbortSignal.timeout(5_000);
}

describe("NodeClassReader", () => {
  it("reads classes with numbers that no JSON has", async () => {
    const { reader } = setUp();
    const classes = await reader.nodeClasses(0, soon());
    expect(classes.get("A")?.inputs).toEqual([
      { name: "x", isRequired: true, type: "FLOAT", default: null, options: { max: null, default: null } },
    ]);
  });

  it("asks once for many who ask at the same time, and serves the same object while nothing changes", async () => {
    const { reader, reads } = setUp();
    const [first, ...others] = await Promise.all(
      Array.from({ length: 20 }, () => reader.nodeClasses(0, soon())),
    );
    expect(reads()).toBe(1);
    expect(others.every((classes) => classes === first)).toBe(true);
    expect(await reader.nodeClasses(0, soon())).toBe(first);
    expect(reads()).toBe(2);
  });

  it("serves other classes once the server says something else", async () => {
    const { reader, texts } = setUp();
    texts.push(`{"B": ${bare}}`);
    expect([...(await reader.nodeClasses(0, soon())).keys()]).toEqual(["A"]);
    expect([...(await reader.nodeClasses(0, soon())).keys()]).toEqual(["B"]);
  });

  it.each([
    ["cut text", '{"A": '],
    ["no object", "[]"],
    ["nothing", ""],
  ])("takes %s for no answer, and serves what it remembers", async (_what, text) => {
    const { reader, texts } = setUp();
    texts.unshift(text);
    await expect(reader.nodeClasses(0, soon())).rejects.toMatchObject({ reason: "NO_BACKEND" });
    const classes = await reader.nodeClasses(0, soon());
    texts.unshift(text);
    expect(await reader.nodeClasses(0, soon())).toBe(classes);
  });

  it("reads the classes of another server only if they have been asked for", async () => {
    const { reader, reads } = setUp();
    reader.reset();
    expect(reads()).toBe(0);
    await reader.nodeClasses(60_000, soon());
    reader.reset();
    expect(reads()).toBe(2);
  });
});
