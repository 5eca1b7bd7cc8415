import { expect, it } from "vitest";
import { runCli } from "./testing/run-cli.ts";

const commands = [
  "generate",
  "submit",
  "batch",
  "batch submit",
  "batch get",
  "batch watch",
  "batch cancel",
  "jobs",
  "jobs list",
  "jobs get",
  "jobs watch",
  "jobs cancel",
  "jobs delete",
  "assets",
  "assets put",
  "assets get",
  "assets link",
  "models",
  "samplers",
  "schedulers",
  "nodes",
  "info",
];

it.each(commands)("the help of `%s` fits into 80 columns", async (command) => {
  const { exitCode, out } = await runCli([...command.split(" "), "--help"]);
  expect(exitCode).toBe(0);
  expect(out).toMatch(/^Usage: comfyrpc /);
  for (const line of out.split("\n")) expect([...line].length, line).toBeLessThanOrEqual(80);
});
