import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { type NewFile, openFileStore } from "./files.ts";

const file: NewFile = { data: Buffer.from("x"), extension: "png", width: 64, height: 32 };

describe("the file store", () => {
  it("numbers files by prefix, one above the highest that is there", async () => {
    await using store = await openFileStore(undefined);
    const save = async (prefix: string, count = 1) =>
      (await store.save("output", prefix, Array<NewFile>(count).fill(file))).map((ref) => ref.filename);
    expect(await save("a", 2)).toEqual(["a_00001_.png", "a_00002_.png"]);
    expect(await save("a_b")).toEqual(["a_b_00001_.png"]);
    expect(await save("a")).toEqual(["a_00003_.png"]);
    await rm(path.join(store.directories.output, "a_00003_.png"));
    expect(await save("a")).toEqual(["a_00003_.png"]);
  });

  it("goes on counting in a directory with many files, and sees what others put there", async () => {
    await using store = await openFileStore(undefined);
    await store.save("output", "many", Array<NewFile>(300).fill(file));
    const save = async () => (await store.save("output", "many", [file]))[0]?.filename;
    expect([await save(), await save()]).toEqual(["many_00301_.png", "many_00302_.png"]);
    await writeFile(path.join(store.directories.output, "many_00900_.png"), "y");
    expect(await save()).toBe("many_00901_.png");
  });

  it("takes the directory of a prefix for the subfolder, and fills in its variables", async () => {
    await using store = await openFileStore(undefined);
    expect(await store.save("output", "job/7/%width%x%height%", [file])).toEqual([
      { filename: "64x32_00001_.png", subfolder: "job/7", type: "output" },
    ]);
    expect(await store.save("output", "", [file])).toMatchObject([
      { filename: "_00001_.png", subfolder: "" },
    ]);
  });

  it.each(["../x", "/etc/x", "a/../../x"])(
    "refuses the prefix %s, which leads out of the directory",
    async (prefix) => {
      await using store = await openFileStore(undefined);
      await expect(store.save("output", prefix, [file])).rejects.toThrow("outside the output folder");
    },
  );

  it("uses the output directory it is given, and leaves it and its files behind", async () => {
    const directory = await mkdtemp(path.join(tmpdir(), "outputs-"));
    let input = "";
    {
      await using store = await openFileStore(directory);
      input = store.directories.input;
      await store.save("output", "kept", [file]);
    }
    expect(await readdir(directory)).toEqual(["kept_00001_.png"]);
    await expect(stat(input)).rejects.toThrow("ENOENT");
    await rm(directory, { recursive: true });
  });

  it("leaves nothing behind if it is disposed of while it clears", async () => {
    const store = await openFileStore(undefined);
    const clearing = store.clearTemp();
    await store[Symbol.asyncDispose]();
    await clearing;
    await expect(stat(path.dirname(store.directories.temp))).rejects.toThrow("ENOENT");
  });
});
