import { distance } from "fastest-levenshtein";

/**
 * Returns up to `count` of `names` that look most like `name`, the nearest first. Case does not count; names that share
 * nothing with it are left out, unless there are no others to show.
 */
export function nearestNames(name: string, names: readonly string[], count = 3): string[] {
  const wanted = name.toLowerCase();
  const ranked = names
    .map((candidate) => ({ candidate, score: unlikeness(wanted, candidate.toLowerCase()) }))
    .sort((a, b) => a.score - b.score);
  const alike = ranked.filter(({ score }) => score < 0.75);
  return (alike.length > 0 ? alike : ranked).slice(0, count).map(({ candidate }) => candidate);
}

/** 0 for equal texts, towards 1 the less they have in common; a text that contains the other counts as near. */
function unlikeness(a: string, b: string): number {
  const edits = distance(a, b) / Math.max(a.length, b.length, 1);
  return a.length >= 3 && (b.includes(a) || a.includes(b)) ? edits / 4 : edits;
}
