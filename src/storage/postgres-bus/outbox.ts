/** A notification that waits to be sent. */
export interface OutboxEntry {
  readonly payload: string;
  /** It may be lost without a word. */
  readonly isPassing: boolean;
  /** What has to be in the table of previews before the notification is seen. */
  readonly preview?: OutboxPreview;
}

export interface OutboxPreview {
  readonly jobId: string;
  readonly id: string;
  readonly data: Uint8Array;
}

/** Notifications that go out together, in their order. */
export interface Batch {
  /** Others have to be told first that messages were lost. */
  readonly hasGap: boolean;
  readonly payloads: readonly string[];
  /** One a job at most. */
  readonly previews: readonly OutboxPreview[];
}

export interface OutboxOptions {
  /** Most that waits at a time, in bytes. */
  readonly maxBytes: number;
  /** Most notifications that go out together. */
  readonly maxBatch: number;
}

/**
 * Holds what cannot be sent yet, within a bound. If there is too much, what is passing is dropped, and if that does not
 * do, everything, to be made up for by a gap.
 */
export class Outbox {
  readonly #options: OutboxOptions;
  #entries: OutboxEntry[] = [];
  #bytes = 0;
  #passingBytes = 0;
  #hasGap = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  add(entry: OutboxEntry): void {
    const size = sizeOf(entry);
    if (this.#bytes + size > this.#options.maxBytes) {
      this.#dropPassing();
    }
    if (this.#bytes + size <= this.#options.maxBytes) {
      this.#entries.push(entry);
      this.#count(entry, 1);
    } else if (!entry.isPassing) {
      this.lose();
    }
  }

  /** Drops everything: others have to be told of a gap. */
  lose(): void {
    this.#entries = [];
    this.#bytes = 0;
    this.#passingBytes = 0;
    this.#hasGap = true;
  }

  /** Takes out what goes next; `undefined` if there is nothing. */
  take(): Batch | undefined {
    if (this.#entries.length === 0 && !this.#hasGap) {
      return undefined;
    }
    const entries = this.#entries.splice(0, this.#options.maxBatch);
    for (const entry of entries) {
      this.#count(entry, -1);
    }
    const batch = { hasGap: this.#hasGap, ...withNewestPreviews(entries) };
    this.#hasGap = false;
    return batch;
  }

  #dropPassing(): void {
    if (this.#passingBytes > 0) {
      this.#entries = this.#entries.filter(({ isPassing }) => !isPassing);
      this.#bytes -= this.#passingBytes;
      this.#passingBytes = 0;
    }
  }

  #count(entry: OutboxEntry, sign: 1 | -1): void {
    const bytes = sign * sizeOf(entry);
    this.#bytes += bytes;
    this.#passingBytes += entry.isPassing ? bytes : 0;
  }
}

/** The table has one row a job, so that of several previews only the newest could be read. */
function withNewestPreviews(entries: readonly OutboxEntry[]): Omit<Batch, "hasGap"> {
  const newest = new Map<string, OutboxPreview>();
  for (const { preview } of entries) {
    if (preview) {
      newest.set(preview.jobId, preview);
    }
  }
  return {
    payloads: entries
      .filter(({ preview }) => !preview || newest.get(preview.jobId) === preview)
      .map(({ payload }) => payload),
    previews: [...newest.values()],
  };
}

/** Roughly what it takes in memory. */
function sizeOf({ payload, preview }: OutboxEntry): number {
  return 100 + payload.length + (preview?.data.length ?? 0);
}
