import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import path from "node:path";
import sharp from "sharp";
import { type FileStore, type FileType, isWithin, parseAnnotated } from "../files.ts";
import { isJsonObject, parseJson } from "../json.ts";
import { insertPngTexts, readPngTexts } from "../png.ts";
import { type Exchange, type Route, readBody, replyEmpty, replyJson } from "./exchange.ts";

/** Uploads of pictures and masks. The content is not checked, as with ComfyUI. */
export function uploadRoutes(files: FileStore): readonly Route[] {
  return [
    {
      method: "POST",
      path: "/upload/image",
      handle: (exchange) => upload(exchange, files, async (_, content) => content),
    },
    {
      method: "POST",
      path: "/upload/mask",
      handle: (exchange) => upload(exchange, files, (form, content) => masked(form, content, files)),
    },
  ];
}

/** Makes what is to be stored; `undefined`: nothing is. */
type Convert = (form: FormData, content: Buffer) => Promise<Buffer | undefined>;

async function upload(exchange: Exchange, files: FileStore, convert: Convert): Promise<void> {
  const form = await readForm(exchange);
  const file = form.get("image");
  if (!(file instanceof File) || file.name === "") {
    replyEmpty(exchange, 400);
    return;
  }
  const type = typeOf(textIn(form, "type") ?? "input");
  const subfolder = textIn(form, "subfolder") ?? "";
  const base = files.directories[type];
  const directory = path.resolve(base, path.normalize(subfolder));
  if (!isWithin(base, path.resolve(directory, file.name))) {
    replyEmpty(exchange, 400);
    return;
  }
  await mkdir(directory, { recursive: true });
  const content = Buffer.from(await file.arrayBuffer());
  const overwrite = ["true", "1"].includes(textIn(form, "overwrite") ?? "");
  const stored = await convert(form, content);
  // From here on in one go, as in ComfyUI: of uploads at the same time none sees another one half written.
  const place = overwrite ? { name: file.name, taken: false } : findPlace(directory, file.name, content);
  if (!place.taken && stored) {
    writeFileSync(path.join(directory, place.name), stored);
  }
  replyJson(exchange, { name: place.name, subfolder, type });
}

async function readForm({ request }: Exchange): Promise<FormData> {
  const body = await readBody(request);
  const type = request.headers["content-type"] ?? "";
  if (!type.startsWith("multipart/form-data")) {
    return new FormData();
  }
  return new Response(new Uint8Array(body), { headers: { "content-type": type } }).formData();
}

function textIn(form: FormData, name: string): string | undefined {
  const value = form.get(name);
  return typeof value === "string" ? value : undefined;
}

/** @throws TypeError if there is no such directory */
function typeOf(text: string): FileType {
  if (text !== "input" && text !== "temp" && text !== "output") {
    throw new TypeError("unknown type");
  }
  return text;
}

/** A free name, numbered if need be; or the name of a file that has the same content, which then counts as stored. */
function findPlace(
  directory: string,
  name: string,
  content: Buffer,
): { readonly name: string; readonly taken: boolean } {
  const { name: stem, ext } = path.parse(name);
  const parent = path.dirname(name);
  for (let number = 0; ; number++) {
    const candidate = number === 0 ? name : path.join(parent, `${stem} (${number})${ext}`);
    const file = path.join(directory, candidate);
    if (!existsSync(file)) {
      return { name: candidate, taken: false };
    }
    if (digest(readFileSync(file)) === digest(content)) {
      return { name: candidate, taken: true };
    }
  }
}

/**
 * The picture that `original_ref` names, with the alpha channel of the upload. `undefined` if it is not there: ComfyUI
 * then answers as if all had gone well.
 */
async function masked(form: FormData, content: Buffer, files: FileStore): Promise<Buffer | undefined> {
  const ref = parseJson(textIn(form, "original_ref") ?? "null");
  if (!isJsonObject(ref) || typeof ref.filename !== "string") {
    throw new TypeError("original_ref names no file");
  }
  const { filename, type } = parseAnnotated(ref.filename);
  const base = files.directories[type ?? typeOf(String(ref.type ?? "output"))];
  const original = path.resolve(base, String(ref.subfolder ?? ""), filename);
  if (!isWithin(base, original) || !existsSync(original)) {
    return undefined;
  }
  const source = await readFile(original);
  const { width, height } = await sharp(source).metadata();
  const mask = sharp(content).ensureAlpha().extractChannel("alpha").raw();
  const { data, info } = await mask.toBuffer({ resolveWithObject: true });
  if (info.width !== width || info.height !== height) {
    throw new Error("the mask has another size than the picture");
  }
  const png = await sharp(source)
    .removeAlpha()
    .joinChannel(data, { raw: { width: info.width, height: info.height, channels: 1 } })
    .png({ compressionLevel: 4 })
    .toBuffer();
  return insertPngTexts(png, readPngTexts(source));
}

function digest(content: Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}
