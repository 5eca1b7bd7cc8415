import { randomUUID } from "node:crypto";
import sharp from "sharp";
import { FormData } from "undici";
import { describe, expect, it } from "vitest";
import { copyImage, img2img } from "./graphs.ts";
import type { ImageEntry } from "./messages.ts";
import { pngTexts } from "./png.ts";
import { imagesOf, lastMessage, type OpenServer, Session, viewPath } from "./session.ts";
import { inputPath, picture, upload, uploadForm } from "./uploads.ts";

const PNG_START = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/** How images come out of the server and go into it (protocol 1.5, 1.6). */
export function describeFiles(open: OpenServer): void {
  describe("files", () => {
    it("serves an output as the PNG of the size asked for", async () => {
      await using session = await Session.start(open);
      const reply = await session.view(await makeImage(session));
      expect(reply.status).toBe(200);
      expect(reply.headers.get("content-type")).toBe("image/png");
      expect(await sharp(reply.body).metadata()).toMatchObject({ format: "png", width: 64, height: 64 });
    });

    it("serves what PreviewImage made as a temporary file", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const preview = { class_type: "PreviewImage", inputs: { images: ["8", 0] as const } };
      const { record } = await session.run({ ...session.txt2img(), "9": preview }, { socket });
      const image = imagesOf(record)[0] ?? missing();
      expect(image.type).toBe("temp");
      expect((await session.view(image)).headers.get("content-type")).toBe("image/png");
    });

    it("answers a known ETag with 304 and no body", async () => {
      await using session = await Session.start(open);
      const image = await makeImage(session);
      const etag = (await session.view(image)).headers.get("etag") ?? "";
      expect(etag).not.toBe("");
      const reply = await session.view(image, { "if-none-match": etag });
      expect(reply.status).toBe(304);
      expect(reply.body).toHaveLength(0);
    });

    it("serves a byte range with 206", async () => {
      await using session = await Session.start(open);
      const image = await makeImage(session);
      const whole = (await session.view(image)).body;
      const reply = await session.view(image, { range: "bytes=0-7" });
      expect(reply.status).toBe(206);
      expect(reply.headers.get("content-range")).toBe(`bytes 0-7/${whole.length}`);
      expect(reply.body).toEqual(PNG_START);
    });

    it("tells the size of a file to HEAD", async () => {
      await using session = await Session.start(open);
      const image = await makeImage(session);
      const whole = (await session.view(image)).body;
      const reply = await session.http.head(viewPath(image));
      expect(reply.status).toBe(200);
      expect(reply.headers.get("content-length")).toBe(String(whole.length));
    });

    // Trap 23: name alone is not enough.
    it("finds a file only by its name, subfolder and type together", async () => {
      await using session = await Session.start(open);
      const image = await makeImage(session);
      expect((await session.view({ ...image, subfolder: "" })).status).toBe(404);
      expect((await session.view({ ...image, type: "temp" })).status).toBe(404);
      expect((await session.view({ ...image, filename: "no-such-file.png" })).status).toBe(404);
      expect((await session.http.get("/api/view")).status).toBe(404);
    });

    it("refuses a name that climbs out of its directory with 400", async () => {
      await using session = await Session.start(open);
      for (const filename of ["../x.png", "a..b.png", "/etc/hostname"]) {
        expect((await session.view({ filename, subfolder: "", type: "output" })).status).toBe(400);
      }
      expect((await session.view({ filename: "x.png", subfolder: "../..", type: "output" })).status).toBe(
        403,
      );
    });

    it("writes the graph and each extra_pnginfo key into the PNG", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const graph = session.txt2img();
      const extraPngInfo = { workflow: { id: "contract" }, comfyrpc: { job: "42" } };
      const { record } = await session.run(graph, { socket, extraData: { extra_pnginfo: extraPngInfo } });
      const [image] = imagesOf(record);
      const texts = pngTexts((await session.view(image ?? missing())).body);
      expect(JSON.parse(texts.prompt ?? "")).toEqual(graph);
      expect(JSON.parse(texts.workflow ?? "")).toEqual(extraPngInfo.workflow);
      expect(JSON.parse(texts.comfyrpc ?? "")).toEqual(extraPngInfo.comfyrpc);
    });

    it("stores an upload under its name and serves it again as an input", async () => {
      await using session = await Session.start(open);
      const image = await picture();
      const subfolder = `contract/${randomUUID()}`;
      const stored = await upload(session, { image, name: "a.png", subfolder });
      expect(stored).toEqual({ name: "a.png", subfolder, type: "input" });
      const served = await session.view({ filename: "a.png", subfolder, type: "input" });
      expect(served.body.equals(image)).toBe(true);
    });

    it("tells the size of an input to HEAD, and that there is none", async () => {
      await using session = await Session.start(open);
      const image = await picture();
      const subfolder = `contract/${randomUUID()}`;
      await upload(session, { image, name: "a.png", subfolder });
      const there = await session.http.head(viewPath({ filename: "a.png", subfolder, type: "input" }));
      expect(there.status).toBe(200);
      expect(there.headers.get("content-length")).toBe(String(image.length));
      const absent = await session.http.head(viewPath({ filename: "b.png", subfolder, type: "input" }));
      expect(absent.status).toBe(404);
    });

    // Trap 25: with content-hash names and without overwrite an upload may be repeated.
    it("keeps one copy of the same content under the same name", async () => {
      await using session = await Session.start(open);
      const image = await picture();
      const subfolder = `contract/${randomUUID()}`;
      await upload(session, { image, name: "a.png", subfolder });
      expect((await upload(session, { image, name: "a.png", subfolder })).name).toBe("a.png");
    });

    // Jobs that read the same image begin together.
    it("keeps one copy also of uploads that come at the same time", async () => {
      await using session = await Session.start(open);
      const image = await picture(1_024, 1_024);
      const subfolder = `contract/${randomUUID()}`;
      const uploads = Array.from({ length: 4 }, () => upload(session, { image, name: "a.png", subfolder }));
      expect((await Promise.all(uploads)).map(({ name }) => name)).toEqual(uploads.map(() => "a.png"));
    });

    it("renames other content under a taken name, and replaces it only on request", async () => {
      await using session = await Session.start(open);
      const [first, second] = [await picture(), await picture()];
      const subfolder = `contract/${randomUUID()}`;
      await upload(session, { image: first, name: "a.png", subfolder });
      expect((await upload(session, { image: second, name: "a.png", subfolder })).name).toBe("a (1).png");
      const entry = { filename: "a.png", subfolder, type: "input" } as const;
      expect((await session.view(entry)).body.equals(first)).toBe(true);

      await upload(session, { image: second, name: "a.png", subfolder, overwrite: true });
      expect((await session.view(entry)).body.equals(second)).toBe(true);
    });

    it("refuses an upload without a file or out of its directory with 400", async () => {
      await using session = await Session.start(open);
      const empty = new FormData();
      empty.set("type", "input");
      expect((await session.http.postForm("/api/upload/image", empty)).status).toBe(400);
      const escaping = uploadForm({ image: await picture(), name: "a.png", subfolder: "../../outside" });
      expect((await session.http.postForm("/api/upload/image", escaping)).status).toBe(400);
    });

    it.each([{ subfolder: "" }, { subfolder: "contract" }])(
      "loads an uploaded image by its path, with subfolder '$subfolder'",
      async ({ subfolder }) => {
        await using session = await Session.start(open);
        const socket = await session.connect();
        const stored = await upload(session, {
          image: await picture(),
          name: `${randomUUID()}.png`,
          subfolder,
        });
        const { record } = await session.run(copyImage(inputPath(stored)), { socket });
        const [copy] = imagesOf(record);
        const served = await session.view(copy ?? missing());
        expect(await sharp(served.body).metadata()).toMatchObject({ width: 48, height: 32 });
      },
    );

    it("samples from an uploaded image", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const stored = await upload(session, {
        image: await picture(64, 64),
        name: `${randomUUID()}.png`,
        subfolder: "",
      });
      const graph = img2img({ checkpoint: session.checkpoint, image: inputPath(stored) });
      const { record } = await session.run(graph, { socket });
      expect(lastMessage(record)).toBe("execution_success");
      expect(imagesOf(record)).toHaveLength(1);
    });
  });
}

async function makeImage(session: Session): Promise<ImageEntry> {
  const { record } = await session.run(session.txt2img(), { socket: await session.connect() });
  return imagesOf(record)[0] ?? missing();
}

function missing(): never {
  throw new Error("the prompt has no image");
}
