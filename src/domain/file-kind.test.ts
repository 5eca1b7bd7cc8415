import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isShownSafely, kindOfFile } from "./file-kind.ts";

const bytes = (latin1: string) => Buffer.from(latin1, "latin1");

describe("kindOfFile", () => {
  it.each([
    ["\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image", "image/png"],
    ["\xff\xd8\xff\xe0", "image", "image/jpeg"],
    ["RIFF\0\0\0\0WEBPVP8 ", "image", "image/webp"],
    ["RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x10", "image", "image/webp"],
    ["RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x12", "animation", "image/webp"],
    ["GIF89a", "animation", "image/gif"],
    ["\0\0\0\x1cftypavif\0\0\0\0avifmif1", "image", "image/avif"],
    ["\0\0\0\x1cftypavis\0\0\0\0avifavis", "animation", "image/avif"],
    ["\0\0\0\x18ftypheic\0\0\0\0mif1", "image", "image/heic"],
    ["II*\0", "image", "image/tiff"],
    ["\x76\x2f\x31\x01", "image", "image/x-exr"],
    ["\0\0\0\x18ftypisom\0\0\0\0isom", "video", "video/mp4"],
    ["\0\0\0\x14ftypqt  \0\0\0\0qt  ", "video", "video/quicktime"],
    ["\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", "video", "video/webm"],
    ["\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x88matroska", "video", "video/x-matroska"],
    ["RIFF\0\0\0\0AVI LIST", "video", "video/x-msvideo"],
    ["\0\0\0\x18ftypM4A \0\0\0\0M4A ", "audio", "audio/mp4"],
    ["RIFF\0\0\0\0WAVEfmt ", "audio", "audio/wav"],
    ["fLaC", "audio", "audio/flac"],
    ["OggS", "audio", "audio/ogg"],
    ["ID3\x04", "audio", "audio/mpeg"],
    ["\xff\xfb\x90\x44", "audio", "audio/mpeg"],
    ["glTF\x02", "model3d", "model/gltf-binary"],
  ])("tells %j by its bytes, whatever it is called", (head, kind, mediaType) => {
    expect(kindOfFile(bytes(head), "page.html")).toEqual({ kind, mediaType });
  });

  it.each([
    ["a.latent", "latent", "application/octet-stream"],
    ["a.OBJ", "model3d", "model/obj"],
    ["a.txt", "text", "text/plain"],
    ["a.json", "text", "application/json"],
    ["a.svg", "image", "image/svg+xml"],
    ["a.html", "file", "application/octet-stream"],
    ["a.mp4", "file", "application/octet-stream"],
    ["png", "file", "application/octet-stream"],
    ["a.constructor", "file", "application/octet-stream"],
    ["", "file", "application/octet-stream"],
  ])("tells %j by its name where the bytes say nothing", (name, kind, mediaType) => {
    expect(kindOfFile(bytes("<html>"), name)).toEqual({ kind, mediaType });
  });

  it("takes nothing with a NUL for a text, and a stray byte for no sound", () => {
    expect(kindOfFile(bytes("a\0b"), "a.txt").kind).toBe("file");
    expect(kindOfFile(bytes("\xff\xff\xff"), "a.bin").kind).toBe("file");
  });

  it("never has anything shown that its bytes do not say it is", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (text, name) => {
        expect(isShownSafely(kindOfFile(Buffer.from(text), name).mediaType)).toBe(
          /^(GIF8[79]a|OggS|fLaC|ID3)/.test(text),
        );
      }),
    );
  });
});
