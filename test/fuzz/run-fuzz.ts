import fc from "fast-check";
import { assertGraphLaws, graphTexts, jsonTexts } from "./graph-laws.ts";
import { assertSpecLaws, specMessages } from "./spec-laws.ts";

/** Cases of each kind, unless an argument says another number. */
const usualCases = 100_000;

const cases = Number(process.argv[2] ?? usualCases);
await run("graphs", graphTexts, async (text) => assertGraphLaws(text));
await run("texts", jsonTexts, async (text) => assertGraphLaws(text));
await run("specs", specMessages, assertSpecLaws);

async function run<T>(
  name: string,
  values: fc.Arbitrary<T>,
  assertLaws: (value: T) => Promise<string>,
): Promise<void> {
  const outcomes = new Map<string, number>();
  const startMs = performance.now();
  await fc.assert(
    fc.asyncProperty(values, async (value) => {
      const outcome = await assertLaws(value);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }),
    { numRuns: cases },
  );
  const counted = [...outcomes].map(([outcome, count]) => `${count} ${outcome}`).join(", ");
  process.stdout.write(
    `${cases} ${name} in ${((performance.now() - startMs) / 1_000).toFixed(1)} s: ${counted}\n`,
  );
}
