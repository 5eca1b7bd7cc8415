/**
 * Numbers of 0 to 255 as the bytes that ComfyUI saves of them: it cuts off fractions. A hair below a whole number, where
 * only rounding has brought it, counts as that number.
 */
export function toBytes(numbers: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(numbers.length);
  for (let i = 0; i < bytes.length; i++) {
    bytes[i] = Math.max(0, Math.min(255, (numbers[i] ?? 0) + 1 / 512));
  }
  return bytes;
}
