import { PassThrough } from "node:stream";
import { expect, it } from "vitest";
import { onClosedOutput } from "./closed-output.ts";

it("ends when the reader of the output has gone, and only then", () => {
  const output = new PassThrough();
  let ended = 0;
  onClosedOutput(output, () => ended++);
  output.emit("error", Object.assign(new Error("write EPIPE"), { code: "EPIPE" }));
  expect(ended).toBe(1);
  const full = Object.assign(new Error("write ENOSPC"), { code: "ENOSPC" });
  expect(() => output.emit("error", full)).toThrow(full);
  expect(ended).toBe(1);
});
