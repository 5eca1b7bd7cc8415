import { z } from "zod";

/** Numbers of a file, with their dimensions. */
export interface Tensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Writes a file of the safetensors format, with 32-bit numbers. */
export function encodeTensors(
  tensors: Readonly<Record<string, Tensor>>,
  metadata: Readonly<Record<string, string>>,
): Buffer {
  const header: Record<string, unknown> = { __metadata__: metadata };
  const parts: Buffer[] = [];
  let length = 0;
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    header[name] = { dtype: "F32", shape, data_offsets: [length, length + data.byteLength] };
    parts.push(Buffer.from(data.buffer, data.byteOffset, data.byteLength));
    length += data.byteLength;
  }
  const text = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([text, Buffer.alloc(-text.length & 7, " ")]);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([size, padded, ...parts]);
}

/** Reads one tensor of 32-bit numbers from such a file; `undefined` if the file is none, or does not have it. */
export function decodeTensor(file: Buffer, name: string): Tensor | undefined {
  const start = file.length < 8 ? Number.NaN : Number(file.readBigUInt64LE()) + 8;
  if (!(start <= file.length)) {
    return undefined;
  }
  const entry = entryIn(file.toString("utf8", 8, start), name);
  if (!entry) {
    return undefined;
  }
  const bytes = file.subarray(start + entry.from, start + entry.to);
  const count = entry.shape.reduce((product, length) => product * length, 1);
  if (bytes.length !== count * 4) {
    return undefined;
  }
  const data = new Float32Array(count);
  Buffer.from(data.buffer).set(bytes);
  return { shape: entry.shape, data };
}

function entryIn(header: string, name: string) {
  const entry = z.object({
    dtype: z.literal("F32"),
    shape: z.array(z.int().nonnegative()),
    data_offsets: z.tuple([z.int().nonnegative(), z.int().nonnegative()]),
  });
  const parsed = z.record(z.string(), z.unknown()).safeParse(parsedJson(header)).data?.[name];
  const found = entry.safeParse(parsed).data;
  return found && { shape: found.shape, from: found.data_offsets[0], to: found.data_offsets[1] };
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // What is no JSON is no header.
    return undefined;
  }
}
