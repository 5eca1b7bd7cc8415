import { expect, it } from "vitest";
import { captureIo } from "./testing/capture-io.ts";
import { writeLines } from "./write-lines.ts";

const lines = ["error: one two three", "  four five six sevenandeight", "", "ten"];

it("breaks long lines of a terminal between words", () => {
  const io = captureIo({ columns: 12 });
  writeLines(io, lines);
  expect(io.err()).toBe("error: one\n  two three\n  four five\n    six\n    sevenandeight\n\nten\n");
});

it("leaves lines whole where there is no terminal", () => {
  const io = captureIo();
  writeLines(io, lines);
  expect(io.err()).toBe(`${lines.join("\n")}\n`);
});
