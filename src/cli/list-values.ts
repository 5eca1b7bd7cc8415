import { InvalidArgumentError } from "commander";
import { parseNumber, parseSeed, parseWholeNumber } from "./option-values.ts";

/**
 * Reads seeds with commas between them, of which those that follow each other may be written as a range: `1,2,3`,
 * `1-4,9`.
 *
 * @throws InvalidArgumentError, as all functions here do
 */
export function parseSeeds(text: string): bigint[] {
  return split(text).flatMap((part) => {
    const [, first, last] = /^(\d+)-(\d+)$/.exec(part) ?? [];
    return first === undefined || last === undefined
      ? [parseSeed(part)]
      : range(parseSeed(first), parseSeed(last));
  });
}

/** Reads numbers with commas between them, such as `5,7.5`. */
export function parseNumbers(text: string): number[] {
  return split(text).map(parseNumber);
}

/** Reads whole numbers with commas between them, such as `10,20`. */
export function parseWholeNumbers(text: string): number[] {
  return split(text).map(parseWholeNumber);
}

/** Reads names with commas between them, such as `euler,ddim`. */
export function parseNames(text: string): string[] {
  return split(text);
}

function split(text: string): string[] {
  const parts = text.split(",").map((part) => part.trim());
  if (parts.includes("")) throw new InvalidArgumentError("Write values with commas between them.");
  return parts;
}

function range(first: bigint, last: bigint): bigint[] {
  const count = last - first + 1n;
  if (count < 1n || count > mostValues) {
    throw new InvalidArgumentError(`A range goes up, over at most ${mostValues} seeds.`);
  }
  return Array.from({ length: Number(count) }, (_, index) => first + BigInt(index));
}

/** As many as a grid takes of one kind. */
const mostValues = 1_000n;
