import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ImageFormat } from "../../gen/comfyrpc/v1/generation_pb.js";
import { assertNotTaken, fileNameFor, parseOutput } from "./output-target.ts";
import { imageOf } from "./testing/staged-events.ts";
import { createTemporaryDirectory } from "./testing/temporary-directory.ts";
import { UsageError } from "./usage-error.ts";

const image = imageOf(new Uint8Array(3), { format: ImageFormat.JPEG, seed: 18446744073709551615n, index: 1 });

describe("parseOutput", () => {
  it("takes a name with the extension of a picture for a file", () => {
    expect(parseOutput("out/fox.v2.JPG")).toEqual({
      kind: "file",
      directory: "out",
      stem: "fox.v2",
      extension: "JPG",
      format: ImageFormat.JPEG,
    });
  });

  it.each(["out", "out.d", "out/", "fox.png/", ".", "..", ".png"])("takes %j for a directory", (out) => {
    expect(parseOutput(out)).toEqual({ kind: "directory", directory: out });
  });

  it("refuses pictures that cannot be made", () => {
    expect(() => parseOutput("fox.gif")).toThrow(UsageError);
  });
});

describe("fileNameFor", () => {
  it("names files in a directory by prompt, whole seed and format", () => {
    expect(fileNameFor(parseOutput("out"), image, "A red fox", 2)).toEqual({
      stem: "a-red-fox-18446744073709551615",
      extension: "jpg",
    });
  });

  it("numbers images that have neither a prompt nor a seed", () => {
    const saved = { ...image, seed: 0n };
    expect(fileNameFor(parseOutput("out"), saved, "", 2)).toEqual({ stem: "image-2", extension: "jpg" });
    expect(fileNameFor(parseOutput("out"), saved, "fox", 2)).toEqual({ stem: "fox-0", extension: "jpg" });
  });

  it("keeps the name of a file, and numbers it only if there are more", () => {
    const target = parseOutput("out/fox.jpeg");
    expect(fileNameFor(target, { ...image, index: 0 }, "x", 1)).toEqual({ stem: "fox", extension: "jpeg" });
    expect(fileNameFor(target, image, "x", 2)).toEqual({ stem: "fox-2", extension: "jpeg" });
  });
});

describe("fileNameFor images that nobody could count beforehand", () => {
  it("numbers those after the first", () => {
    expect(fileNameFor(parseOutput("fox.jpg"), image, "x", 1).stem).toBe("fox-2");
  });
});

describe("assertNotTaken", () => {
  it("refuses a file that is there, also one of many", async () => {
    await using directory = await createTemporaryDirectory();
    await writeFile(join(directory.path, "fox-2.png"), "");
    const target = parseOutput(join(directory.path, "fox.png"));
    await expect(assertNotTaken(target, 2)).rejects.toThrow(/fox-2\.png exists/);
    await expect(assertNotTaken(target, 1)).resolves.toBeUndefined();
  });
});
