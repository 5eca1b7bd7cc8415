import type { EncodedImage, ImageCodec } from "../imaging/image-codec.ts";
import type { Logger } from "../telemetry/logger.ts";

/** A preview as the engine sent it, with what belongs to it. */
export interface RawPreview {
  readonly nodeId: string;
  readonly imageIndex: number;
  readonly step: number;
  readonly data: Uint8Array;
}

/**
 * Brings previews to the size and format that the caller wants, one at a time. One that comes while another is in work
 * takes the place of any that waits: only the newest is of interest.
 */
export class PreviewPipe {
  readonly #codec: ImageCodec;
  readonly #logger: Logger;
  readonly #maxSidePx: number;
  readonly #format: "jpeg" | "webp";
  readonly #deliver: (preview: RawPreview, image: EncodedImage) => void;
  #waiting: RawPreview | undefined;
  #busy = false;

  constructor(options: PreviewPipeOptions) {
    this.#codec = options.codec;
    this.#logger = options.logger;
    this.#maxSidePx = options.maxSidePx;
    this.#format = options.format;
    this.#deliver = options.deliver;
  }

  push(preview: RawPreview): void {
    this.#waiting = preview;
    if (!this.#busy) {
      void this.#work();
    }
  }

  async #work(): Promise<void> {
    this.#busy = true;
    for (let preview = this.#take(); preview !== undefined; preview = this.#take()) {
      try {
        this.#deliver(preview, await this.#codec.preview(preview.data, this.#maxSidePx, this.#format));
      } catch (error) {
        this.#logger.warn({ err: error, nodeId: preview.nodeId }, "left out a preview that cannot be read");
      }
    }
    this.#busy = false;
  }

  #take(): RawPreview | undefined {
    const preview = this.#waiting;
    this.#waiting = undefined;
    return preview;
  }
}

export interface PreviewPipeOptions {
  readonly codec: ImageCodec;
  readonly logger: Logger;
  readonly maxSidePx: number;
  readonly format: "jpeg" | "webp";
  /** Gets each preview that was brought into shape, in order. */
  readonly deliver: (preview: RawPreview, image: EncodedImage) => void;
}
