import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { settings } from "../src/config/settings.ts";

it("lists every setting in the README, in the words of the program", async () => {
  const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
  const [, table] = /<!-- settings -->\n(.*)<!-- \/settings -->/s.exec(readme) ?? [];
  const rows = Object.values(settings).map(
    ({ env, help, defaultText }) => `| \`${env}\` | ${help} | ${defaultText} |`,
  );
  expect(table?.trim().split("\n")).toEqual([
    "| variable | meaning | default |",
    "| --- | --- | --- |",
    ...rows,
  ]);
});
