import { ServiceError } from "../../domain/errors.ts";
import { pause } from "../../lib/pause.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { InputFile } from "../engine.ts";
import { type Answer, type ComfyUiClient, NoAnswerError } from "./client.ts";
import { noBackend } from "./failures.ts";
import { asObject, asString } from "./json-shape.ts";
import type { InputPlace } from "./upload-form.ts";

export interface UploadDependencies {
  readonly client: Pick<ComfyUiClient, "inputSize" | "uploadInput">;
  readonly logger: Logger;
}

/** How often an upload is tried that the server does not answer: it may be repeated, as names stand for contents. */
const maxTries = 3;
const pauseMs = 200;

/**
 * Has the backend have files before a graph that reads them is submitted. One that is there is not sent again; one that
 * is there with another size was cut off once, and is replaced (comfyui-protocol § 1.6, trap 25).
 *
 * @throws ServiceError
 * - `NO_BACKEND`: the backend cannot be reached, or breaks uploads off
 * - `INPUT_REJECTED`: it does not take a file that large
 * - `BACKEND_PROTOCOL`: it does not store the file, for another reason
 * @throws what `InputFile.open` throws; the reason of `signal`
 */
export async function uploadInputs(
  inputs: readonly InputFile[],
  deps: UploadDependencies,
  signal: AbortSignal,
): Promise<void> {
  for (const input of inputs) {
    await new Upload(input, deps, signal).run();
  }
}

class Upload {
  readonly #input: InputFile;
  readonly #place: InputPlace;
  readonly #deps: UploadDependencies;
  readonly #signal: AbortSignal;

  constructor(input: InputFile, deps: UploadDependencies, signal: AbortSignal) {
    this.#input = input;
    this.#place = placeOf(input.fileName);
    this.#deps = deps;
    this.#signal = signal;
  }

  async run(): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#try();
      } catch (error) {
        this.#signal.throwIfAborted();
        if (!(error instanceof NoAnswerError)) {
          throw error;
        }
        if (!error.sent || tries >= maxTries) {
          throw noBackend(error);
        }
        this.#deps.logger.warn({ err: error }, "an upload of an input broke off; trying again");
        await pause(pauseMs, this.#signal);
        this.#signal.throwIfAborted();
      }
    }
  }

  async #try(): Promise<void> {
    const { client, logger } = this.#deps;
    const { sizeBytes, mediaType } = this.#input;
    const knownBytes = await client.inputSize(this.#place, this.#signal);
    if (knownBytes === sizeBytes) {
      return;
    }
    const overwrite = knownBytes !== undefined;
    if (overwrite) {
      logger.warn({ ...this.#place, sizeBytes, knownBytes }, "replacing an input that is not whole");
    }
    const body = this.#input.open(this.#signal);
    const content = { mediaType, sizeBytes, body, overwrite };
    this.#assertStored(await client.uploadInput(this.#place, content, this.#signal));
  }

  #assertStored({ status, body }: Answer): void {
    switch (status) {
      case 200:
        break;
      case 413:
        throw new ServiceError(
          "INPUT_REJECTED",
          `the backend takes no input file of ${this.#input.sizeBytes} bytes; use a smaller image`,
        );
      case 502:
      case 503:
      case 504:
        throw new NoAnswerError(`a proxy answered HTTP ${status}`, { sent: true, status });
      default:
        throw notStored(`HTTP ${status}`);
    }
    const { name, subfolder } = asObject(body);
    if (asString(name) === undefined) {
      throw notStored("an answer that makes no sense");
    }
    // What the subfolder is called differs by the host's separator.
    const folder = asString(subfolder)?.replaceAll("\\", "/") ?? "";
    if (name !== this.#place.filename || folder !== this.#place.subfolder) {
      throw notStored("another name, as other bytes have the one that the graph reads");
    }
  }
}

function placeOf(fileName: string): InputPlace {
  const end = fileName.lastIndexOf("/");
  return { filename: fileName.slice(end + 1), subfolder: fileName.slice(0, Math.max(0, end)) };
}

function notStored(why: string): ServiceError {
  return new ServiceError(
    "BACKEND_PROTOCOL",
    `the backend did not store an input image: it answered with ${why}; look at its log and its address in the configuration`,
  );
}
