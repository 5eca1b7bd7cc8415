import { describe, expect, it } from "vitest";
import { inPieces } from "./in-pieces.ts";

describe("inPieces", () => {
  it("passes small chunks on as they are", async () => {
    const chunks = [new Uint8Array(0), new Uint8Array(10), new Uint8Array(64 * 1024)];
    expect(await cut(...chunks)).toEqual(chunks);
  });

  it("cuts a large chunk without copying it", async () => {
    const large = Uint8Array.from({ length: 150_000 }, (_, i) => i);
    const pieces = await cut(large);
    expect(pieces.map((piece) => piece.length)).toEqual([65_536, 65_536, 18_928]);
    expect(pieces.every((piece) => piece.buffer === large.buffer)).toBe(true);
    expect(Buffer.concat(pieces).equals(large)).toBe(true);
  });

  it("ends the chunks when it is left early", async () => {
    let ended = false;
    async function* chunks() {
      try {
        for (;;) yield new Uint8Array(100_000);
      } finally {
        ended = true;
      }
    }
    for await (const _ of inPieces(chunks())) break;
    expect(ended).toBe(true);
  });
});

function cut(...chunks: Uint8Array[]): Promise<Uint8Array[]> {
  return Array.fromAsync(inPieces(ReadableStream.from(chunks)));
}
