import { once } from "node:events";
import { createServer } from "node:net";
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
  const { exitCode, err } = await run(["serve"], { COMFYRPC_TEMP_DIR: "/no/such/directory" });
  expect(err).toMatch(/^error: the configuration cannot be used\n {2}COMFYRPC_TEMP_DIR: .*\n$/);
  expect(exitCode).toBe(2);
});

it("finds the error of the operating system behind others, and leaves faults as they are", async () => {
  const denied = Object.assign(new Error("EACCES: denied"), { code: "EACCES", syscall: "mkdtemp" });
  const outer = new Error("no store", { cause: denied });
  await expect(starting(Promise.reject(outer))).rejects.toEqual(
    new StartError(
      "cannot start: EACCES: denied; temporary files need a directory that can be written to (TMPDIR, or COMFYRPC_TEMP_DIR for those of the service)",
    ),
  );
  const fault = new TypeError("a fault");
  await expect(starting(Promise.reject(fault))).rejects.toBe(fault);
});

async function run(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const io = captureIo();
  const exitCode = await runProgram(args, { ...io, signal: AbortSignal.timeout(10_000) }, (context) => ({
    version: "1.2.3",
    commands: [serveCommand(context, { COMFYRPC_LOG_LEVEL: "silent", ...env }), engineCommand(context)],
  }));
  return { exitCode, err: io.err() };
}
