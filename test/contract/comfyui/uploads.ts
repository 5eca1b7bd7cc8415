import { randomBytes } from "node:crypto";
import sharp from "sharp";
import { FormData } from "undici";
import { expect } from "vitest";
import type { z } from "zod";
import { uploaded } from "./messages.ts";
import type { Session } from "./session.ts";
import type { Reply } from "./wire.ts";

type Uploaded = z.infer<typeof uploaded>;

/** A file to be uploaded as an input. */
export interface Upload {
  image: Buffer;
  name: string;
  subfolder: string;
  overwrite?: boolean;
}

/** A PNG of random pixels, so that no two are the same. */
export function picture(width = 48, height = 32): Promise<Buffer> {
  const pixels = randomBytes(width * height * 3);
  return sharp(pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

/** Uploads a file, which the server has to take, and returns where it is. */
export async function upload(session: Session, file: Upload): Promise<Uploaded> {
  const reply: Reply = await session.http.postForm("/api/upload/image", uploadForm(file));
  expect(reply.status).toBe(200);
  return reply.json(uploaded);
}

/** What `POST /upload/image` wants to be sent. */
export function uploadForm({ image, name, subfolder, overwrite = false }: Upload): FormData {
  const form = new FormData();
  form.set("image", new Blob([new Uint8Array(image)], { type: "image/png" }), name);
  form.set("subfolder", subfolder);
  if (overwrite) form.set("overwrite", "true");
  return form;
}

/** How `LoadImage` refers to an uploaded file. */
export function inputPath({ name, subfolder }: Uploaded): string {
  return subfolder === "" ? name : `${subfolder}/${name}`;
}
