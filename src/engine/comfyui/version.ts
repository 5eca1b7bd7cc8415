/** Whether a version such as `0.3.64` is `least` or a later one. One that cannot be read is not. */
export function isAtLeast(version: string, least: string): boolean {
  const given = parseVersion(version);
  const wanted = parseVersion(least);
  if (given === undefined || wanted === undefined) {
    return false;
  }
  for (const [index, part] of wanted.entries()) {
    const difference = (given[index] ?? 0) - part;
    if (difference !== 0) {
      return difference > 0;
    }
  }
  return true;
}

function parseVersion(text: string): readonly number[] | undefined {
  return /^v?(\d+(?:\.\d+)*)/.exec(text)?.[1]?.split(".").map(Number);
}
