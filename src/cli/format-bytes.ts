/** `512 bytes`, `64.0 KiB`, `1.2 MiB`: a number of bytes for people. */
export function formatBytes(byteCount: bigint): string {
  if (byteCount < 1024n) return `${byteCount} bytes`;
  const kib = Number(byteCount) / 1024;
  return kib < 1024 ? `${kib.toFixed(1)} KiB` : `${(kib / 1024).toFixed(1)} MiB`;
}
