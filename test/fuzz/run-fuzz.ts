import fc from "fast-check";
import { assertGraphLaws, type FuzzOutcome, graphTexts, jsonTexts } from "./graph-laws.ts";

/** Cases of each kind, unless an argument says another number. */
const usualCases = 100_000;

const cases = Number(process.argv[2] ?? usualCases);
for (const [name, texts] of [
  ["graphs", graphTexts],
  ["texts", jsonTexts],
] as const) {
  const outcomes = new Map<FuzzOutcome, number>();
  const startMs = performance.now();
  fc.assert(
    fc.property(texts, (text) => {
      const outcome = assertGraphLaws(text);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }),
    { numRuns: cases },
  );
  const counted = [...outcomes].map(([outcome, count]) => `${count} ${outcome}`).join(", ");
  process.stdout.write(
    `${cases} ${name} in ${((performance.now() - startMs) / 1_000).toFixed(1)} s: ${counted}\n`,
  );
}
