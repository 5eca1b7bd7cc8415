import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, it } from "vitest";

it("writes every line to standard error by the time the process ends, and none to standard output", async () => {
  const script = `
    import { createLogger } from ${JSON.stringify(new URL("logger.ts", import.meta.url).href)};
    const logger = createLogger({ level: "info" });
    logger.debug("not this one");
    for (let i = 0; i < 1_000; i++) logger.info({ i }, "line");
    process.exit(0);`;
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [
    "--input-type=module",
    "-e",
    script,
  ]);
  expect(stdout).toBe("");
  const lines = stderr.trim().split("\n");
  expect(lines.map((line) => JSON.parse(line).i)).toEqual(Array.from({ length: 1_000 }, (_, i) => i));
});
