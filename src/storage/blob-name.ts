/**
 * Where a blob is in its store: `ab/abcd…`, in 256 groups, since file systems and people do badly with one huge
 * directory. `undefined` for what is no SHA-256 in lowercase hexadecimal, so that no name can lead out of the store.
 */
export function blobNameOf(sha256: string): string | undefined {
  return /^[0-9a-f]{64}$/.test(sha256) ? `${sha256.slice(0, 2)}/${sha256}` : undefined;
}
