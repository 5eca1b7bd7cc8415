import sharp from "sharp";

/** A PNG that looks different everywhere, so that turning and damaging it shows. */
export async function photo(widthPx: number, heightPx: number): Promise<Buffer> {
  const noise = { type: "gaussian", mean: 128, sigma: 50 } as const;
  return await sharp({
    create: { width: widthPx, height: heightPx, channels: 3, background: "#888", noise },
  })
    .png()
    .toBuffer();
}

/** An animation with frames of 50 x 40 pixels, each of another colour. */
export async function animation(format: "gif" | "webp", frames: number): Promise<Buffer> {
  const pictures = await Promise.all(
    Array.from({ length: frames }, (_, i) => {
      const background = { r: 60 * i, g: 255 - 60 * i, b: 90 };
      return sharp({ create: { width: 50, height: 40, channels: 3, background } })
        .png()
        .toBuffer();
    }),
  );
  return await sharp(pictures, { join: { animated: true } })
    .toFormat(format, { loop: 3 })
    .toBuffer();
}
