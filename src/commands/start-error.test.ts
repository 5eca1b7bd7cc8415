import { once } from "node:events";
import { mkdtempDisposable } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { runProgram } from "../cli/program.ts";
import { captureIo } from "../cli/testing/capture-io.ts";
import { engineCommand } from "./engine-command.ts";
import { serveCommand } from "./serve-command.ts";
import { StartError, starting } from "./start-error.ts";

it.each(["serve", "engine"])("%s says in one line that its port is in use", async (name) => {
  await using taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const address = taken.address();
  const port = typeof address === "object" ? String(address?.port) : "";
  const { exitCode, err } = await run([name, "--port", port]);
  expect(err).toMatch(
    /^error: cannot start: .*EADDRINUSE.*; stop what listens there, or take another port.*\n$/,
  );
  expect(exitCode).toBe(1);
});

it("says which address is none of this machine", async () => {
  const { exitCode, err } = await run(["engine", "--host", "192.0.2.1", "--port", "0"]);
  expect(err).toMatch(/^error: cannot start: .*EADDRNOTAVAIL.*--host.*\n$/);
  expect(exitCode).toBe(1);
});

it("refuses a port that cannot be, as wrong usage", async () => {
  const { exitCode, err } = await run(["engine", "--port", "99999"]);
  expect(err).toMatch(/^error: .*It takes a whole number from 0 to 65535\.\n/);
  expect(err).not.toContain("    at ");
  expect(exitCode).toBe(2);
});

it("refuses a configuration that cannot be used, as wrong usage", async () => {
  const { exitCode, err } = await run(["serve"], { COMFYRPC_MAX_STEPS: "many" });
  expect(err).toMatch(/^error: the configuration cannot be used\n {2}COMFYRPC_MAX_STEPS: .*\n$/);
  expect(exitCode).toBe(2);
});

it("finds the error of the operating system behind others, and leaves faults as they are", async () => {
  const denied = Object.assign(new Error("EACCES: denied"), { code: "EACCES", syscall: "mkdtemp" });
  const outer = new Error("no store", { cause: denied });
  await expect(starting(Promise.reject(outer))).rejects.toEqual(
    new StartError(
      "cannot start: EACCES: denied; temporary files need a directory that can be written to (TMPDIR)",
    ),
  );
  const fault = new TypeError("a fault");
  await expect(starting(Promise.reject(fault))).rejects.toBe(fault);
});

it.each([
  [
    "a directory for data that is none",
    { COMFYRPC_DATA_DIR: import.meta.filename },
    /COMFYRPC_DATA_DIR|directory/,
  ],
  ["a database that does not answer", { DATABASE_URL: "postgres://127.0.0.1:1/none" }, /database/],
])("says in one line that it cannot use %s", async (_, env, text) => {
  const { exitCode, err } = await run(["serve", "--port", "0"], env);
  expect(err).toMatch(/^error: cannot start: .*\n$/);
  expect(err).toMatch(text);
  expect(exitCode).toBe(1);
});

async function run(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  await using data = await mkdtempDisposable(join(tmpdir(), "comfyrpc-test-"));
  const io = captureIo();
  const exitCode = await runProgram(args, { ...io, signal: AbortSignal.timeout(10_000) }, (context) => ({
    version: "1.2.3",
    commands: [
      serveCommand(context, { COMFYRPC_LOG_LEVEL: "silent", COMFYRPC_DATA_DIR: data.path, ...env }),
      engineCommand(context),
    ],
  }));
  return { exitCode, err: io.err() };
}
