/**
 * What kind of thing a workflow left behind.
 *
 * - `image`: a still picture in a format that we do not return as an {@link ImageInfo}
 * - `animation`: moving pictures in an image format, such as GIF
 * - `latent`: a picture as samplers know it
 * - `file`: anything else
 */
export type OutputKind = "image" | "animation" | "video" | "audio" | "model3d" | "latent" | "text" | "file";

/** Something that a job left beside its images. Its bytes are the asset of the same SHA-256. */
export interface OutputInfo {
  /** Position among the outputs of the job, from 0. */
  readonly index: number;
  readonly nodeId: string;
  /** Class of that node. */
  readonly classType: string;
  readonly place: OutputPlace;
  readonly kind: OutputKind;
  /** As the bytes tell. */
  readonly mediaType: string;
  /** As the backend calls it, without folders; empty for what is no file there. */
  readonly fileName: string;
  readonly sizeBytes: number;
  /** Lowercase hexadecimal. */
  readonly sha256: string;
  /** The whole text, if it is one of at most {@link maxInlineTextBytes}. */
  readonly text?: string;
}

/** Where among what its node left something stands: the same in every run of a graph, whatever files are called. */
export interface OutputPlace {
  /** Under which name the node lists it: `images`, `gifs`, `audio`, … */
  readonly key: string;
  /** Position in that list, from 0. */
  readonly position: number;
}

/** Longer texts are to be fetched as assets: the record of a job is read and written as a whole. */
export const maxInlineTextBytes = 16_384;
