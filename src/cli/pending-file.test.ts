import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { PendingFile } from "./pending-file.ts";
import { createTemporaryDirectory } from "./testing/temporary-directory.ts";

const name = { stem: "fox", extension: "png" };

async function save(directory: string, text: string, overwrite = false): Promise<string> {
  await using file = await PendingFile.create(directory);
  await file.write(Buffer.from(text));
  return await file.commit(name, overwrite);
}

it("gives each of many files written at once a name of its own", async () => {
  await using directory = await createTemporaryDirectory();
  await Promise.all(["a", "b", "c", "d"].map((text) => save(directory.path, text)));
  expect(await directory.list()).toEqual(["fox-2.png", "fox-3.png", "fox-4.png", "fox.png"]);
});

it("replaces a file only when told to", async () => {
  await using directory = await createTemporaryDirectory();
  await save(directory.path, "old");
  await save(directory.path, "new", true);
  expect(await directory.list()).toEqual(["fox.png"]);
  expect(await readFile(join(directory.path, "fox.png"), "utf8")).toBe("new");
});

it("leaves nothing behind when it is not committed", async () => {
  await using directory = await createTemporaryDirectory();
  {
    await using file = await PendingFile.create(directory.path);
    await file.write(Buffer.from("half"));
    expect(await directory.list()).toHaveLength(1);
  }
  expect(await directory.list()).toEqual([]);
});
