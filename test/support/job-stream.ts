import { createHash } from "node:crypto";
import { expect } from "vitest";
import { type Image, type JobEvent, parseJobEvent } from "./service-messages.ts";

/** Reads a stream of `GenerateWithProgress`, `WatchJob` or `WatchBatch` to its end. `onEvent` is told of each event as it comes. */
export async function collectEvents(
  messages: AsyncIterable<unknown>,
  onEvent: (event: JobEvent) => void = () => {},
): Promise<JobEvent[]> {
  const events: JobEvent[] = [];
  for await (const message of messages) {
    const event = parseJobEvent(message);
    events.push(event);
    onEvent(event);
  }
  return events;
}

const kinds = [
  "accepted",
  "queued",
  "started",
  "nodeStarted",
  "progress",
  "preview",
  "image",
  "imageChunk",
  "completed",
  "cancelling",
  "failed",
] as const;

/** What kind of event it is; fails if it is none, or several. */
export function kindOf(event: JobEvent): (typeof kinds)[number] {
  const [kind, ...more] = kinds.filter((name) => event[name] !== undefined);
  if (kind === undefined || more.length > 0) {
    throw new Error(`event ${event.sequence} is of no kind, or of several: ${[kind, ...more].join(" ")}`);
  }
  return kind;
}

/**
 * Checks the numbers of events against what `JobEvent` promises, for a reader that begins after event `after`: lasting
 * ones are numbered without a gap, every other one bears the number of the last lasting one.
 */
export function expectNumbered(events: readonly JobEvent[], after = 0n): void {
  let last = after;
  let lastKind = after === 0n ? "accepted" : "queued";
  for (const event of events) {
    const kind = kindOf(event);
    const tellsPlace = kind === "queued" && lastKind === "queued" && event.sequence === last;
    if (!tellsPlace && !passingKinds.has(kind)) {
      last += 1n;
      lastKind = kind;
    }
    expect(`${kind} ${event.sequence}`).toBe(`${kind} ${last}`);
  }
}

const passingKinds: ReadonlySet<string> = new Set(["progress", "preview", "imageChunk"]);

/**
 * Checks the events of a job that succeeded at its first attempt against what `JobEvent` promises: their order and
 * numbers, a fraction that never falls, and one job throughout.
 */
export function expectOrderedEvents(events: readonly JobEvent[]): void {
  expect(events.map(kindOf).join(" ")).toMatch(
    /^accepted( queued)+ started(( nodeStarted| progress| preview)* image( imageChunk)*)+ completed$/,
  );
  expect(new Set(events.map(({ jobId }) => jobId)).size).toBe(1);
  expectNumbered(events);
  const fractions = events.flatMap(({ progress }) => progress?.fraction ?? []);
  expect(fractions).toEqual(fractions.toSorted((a, b) => a - b));
}

/** An image as it came over a stream. */
export interface ReceivedImage {
  readonly image: Image;
  /** The whole of it, put together from its chunks if there were any. */
  readonly data: Buffer;
  /** Sizes of the chunks in bytes; empty if it came in one message. */
  readonly chunkBytes: readonly number[];
}

/** Puts the images of a stream together, and checks each against its announced size and hash. In the order of arrival. */
export function imagesIn(events: readonly JobEvent[]): ReceivedImage[] {
  return events.flatMap((event, i) => (event.image ? [received(event.image, events.slice(i + 1))] : []));
}

function received(
  { image, chunked }: NonNullable<JobEvent["image"]>,
  after: readonly JobEvent[],
): ReceivedImage {
  const end = after.findIndex(({ imageChunk }) => imageChunk === undefined);
  const chunks = after.slice(0, end).flatMap(({ imageChunk }) => imageChunk ?? []);
  expect(chunks.length > 0).toBe(chunked);
  let offset = 0n;
  for (const chunk of chunks) {
    expect(chunk).toMatchObject({ imageIndex: image.index, offset });
    offset += BigInt(chunk.data.length);
  }
  const data = chunked ? Buffer.concat(chunks.map((chunk) => chunk.data)) : image.data;
  if (chunked) expect(image.data).toHaveLength(0);
  expectWhole(image, data);
  return { image, data, chunkBytes: chunks.map((chunk) => chunk.data.length) };
}

/** Checks the bytes of an image against its announced size and hash. */
export function expectWhole(image: Image, data: Uint8Array): void {
  expect(BigInt(data.length)).toBe(image.sizeBytes);
  expect(createHash("sha256").update(data).digest("hex")).toBe(image.sha256);
}
