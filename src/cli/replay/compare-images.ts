import type { Image } from "../../../gen/comfyrpc/v1/image_pb.js";
import type { AssetClient } from "../asset-client.ts";
import { downloadAsset } from "../assets/download-asset.ts";
import type { ResumePolicy } from "../resumed.ts";

/**
 * How an image that was made again is to the first: byte for byte the same, the same in every pixel, or another one, of
 * which pixels differ by so much on average (0 to 255; absent where even the size is another).
 */
export type Likeness =
  | { readonly index: number; readonly same: "bytes" | "pixels" }
  | { readonly index: number; readonly same: "nothing"; readonly meanDifference?: number };

/**
 * Compares the images of two jobs by their index; one that the second does not have is like nothing. They are fetched
 * only where their bytes differ.
 */
export async function compareImages(
  client: AssetClient,
  firsts: readonly Image[],
  seconds: readonly Image[],
  policy: ResumePolicy,
  signal: AbortSignal,
): Promise<readonly Likeness[]> {
  const likenesses: Likeness[] = [];
  for (const first of firsts) {
    const { index } = first;
    const second = seconds.find((one) => one.index === index);
    if (second?.sha256 === first.sha256) likenesses.push({ index, same: "bytes" });
    else if (!second) likenesses.push({ index, same: "nothing" });
    else {
      const [a, b] = await Promise.all(
        [first, second].map(({ assetId }) => pixelsOf(client, assetId, policy, signal)),
      );
      likenesses.push({ index, ...likenessOf(a, b) });
    }
  }
  return likenesses;
}

interface Pixels {
  readonly data: Buffer;
  readonly width: number;
  readonly height: number;
}

function likenessOf(
  a: Pixels | undefined,
  b: Pixels | undefined,
): { readonly same: "pixels" } | { readonly same: "nothing"; readonly meanDifference?: number } {
  if (!a || !b || a.width !== b.width || a.height !== b.height) return { same: "nothing" };
  if (a.data.equals(b.data)) return { same: "pixels" };
  const total = a.data.reduce((sum, value, i) => sum + Math.abs(value - (b.data[i] ?? 0)), 0);
  return { same: "nothing", meanDifference: total / a.data.length };
}

async function pixelsOf(
  client: AssetClient,
  assetId: string,
  policy: ResumePolicy,
  signal: AbortSignal,
): Promise<Pixels> {
  const pieces: Uint8Array[] = [];
  const keep = async (bytes: Uint8Array) => {
    pieces.push(bytes);
  };
  await downloadAsset(client, assetId, keep, policy, signal);
  const { default: sharp } = await import("sharp"); // which no other command waits for
  const image = sharp(Buffer.concat(pieces)).ensureAlpha().toColourspace("srgb").raw();
  const { data, info } = await image.toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height };
}
